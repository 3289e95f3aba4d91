//! Panics of the core as findings: caught, with their message and place, instead of printed.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
    static IS_CATCHING: RefCell<bool> = const { RefCell::new(false) };
}

static HOOK: Once = Once::new();

/// Runs a world; a panic comes back as its message and place. Panics of other code are reported as ever.
pub fn catch<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if IS_CATCHING.with_borrow(|is| *is) {
                LAST.set(Some(info.to_string()));
            } else {
                usual(info);
            }
        }));
    });
    IS_CATCHING.set(true);
    // Nothing of the world is looked at after a panic.
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    IS_CATCHING.set(false);
    result.map_err(|_| LAST.take().unwrap_or_else(|| "a panic without a message".into()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_panic_comes_back_with_its_message() {
        let caught = super::catch(|| assert_eq!(1 + 1, 3, "the sum"));
        assert!(caught.is_err_and(|text| text.contains("the sum")));
        assert_eq!(super::catch(|| 7), Ok(7));
    }
}
