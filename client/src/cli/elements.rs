//! What sets, maps and sorted sets have in common on the command line: arguments, removals, lists, sizes, and how elements
//! are shown. Each kind says in its own file what else it can do, and what an element of it looks like.

use bytes::Bytes;
use clap::Args;
use serde_json::{Map as JsonMap, Value, json};
use starling::ids::Key;
use starling::message::client::{Visible, WriteReply};
use starling_client::{Client, Error};

use super::args::{BytesArg, Global, KeyArg, bytes_of};
use super::exit::Failure;
use super::{output, read, write};

/// Elements of one request.
pub(crate) const PAGE: u16 = 256;

/// A collection, as the commands see it that all kinds have.
pub(crate) trait Collection {
    /// An element with what it holds.
    type Element;
    /// How its pages come.
    type Pages: Pages<Element = Self::Element>;

    /// Removes elements, all or none.
    async fn remove(&self, elements: Vec<Bytes>) -> Result<WriteReply, Error>;
    /// How many elements there are, about.
    async fn size(&self) -> Result<u64, Error>;
    /// All elements, at most so many per page.
    fn pages(&self, count: u16) -> Self::Pages;
    /// An element on a line, without its end.
    fn line(element: &Self::Element) -> Vec<u8>;
    /// An element in JSON.
    fn json(element: &Self::Element) -> Value;
    /// Whether the element is one of those that are in conflict.
    fn is_among(_: &Self::Element, _: &[Bytes]) -> bool {
        false
    }
}

/// The pages of a collection.
pub(crate) trait Pages {
    /// An element with what it holds.
    type Element;
    /// The next elements; `None`: that was all.
    async fn next_page(&mut self) -> Result<Option<Vec<Self::Element>>, Error>;
    /// Whether some page came from fewer than R owners.
    fn is_partial(&self) -> bool;
    /// Of the last page, the elements that are in conflict.
    fn conflicts(&self) -> &[Bytes] {
        &[]
    }
}

/// Lets the library's pages be those of a [`Collection`].
macro_rules! pages {
    ($pages:ty, $element:ty) => {
        impl $crate::cli::elements::Pages for $pages {
            type Element = $element;
            async fn next_page(&mut self) -> Result<Option<Vec<$element>>, starling_client::Error> {
                <$pages>::next_page(self).await
            }
            fn is_partial(&self) -> bool {
                <$pages>::is_partial(self)
            }
        }
    };
}
pub(crate) use pages;

/// Said of a field in which a text stands beside increments that it did not see.
pub(crate) fn field_conflict(field: &Bytes) -> String {
    format!(
        "conflict in {}: increments stand beside the text, which did not see them; map put or map rem covers them",
        field.escape_ascii()
    )
}

/// A key, and elements of it.
#[derive(Debug, Args)]
pub(crate) struct ElementsArg {
    #[command(flatten)]
    key: KeyArg,
    /// The elements: at most 512
    #[arg(value_name = "ELEMENT", required = true, allow_negative_numbers = true)]
    elements: Vec<BytesArg>,
}

impl ElementsArg {
    /// Both.
    pub(crate) fn key_and_elements(&self) -> Result<(Key, Vec<Bytes>), Failure> {
        Ok((self.key.key()?, bytes_of(&self.elements)))
    }
}

/// A key, and one element of it.
#[derive(Debug, Args)]
pub(crate) struct ElementArg {
    #[command(flatten)]
    key: KeyArg,
    /// The element
    #[arg(value_name = "ELEMENT", allow_negative_numbers = true)]
    element: BytesArg,
}

impl ElementArg {
    /// Both.
    pub(crate) fn key_and_element(&self) -> Result<(Key, Bytes), Failure> {
        Ok((self.key.key()?, self.element.bytes()))
    }
}

/// A key, and how much of it is shown.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    key: KeyArg,
    /// Stop after so many elements [default: all of them]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Removes what is named, and tells who holds that.
pub(crate) async fn remove<C: Collection>(
    client: &Client,
    global: &Global,
    arguments: &ElementsArg,
    collection: impl FnOnce(&Key) -> C,
) -> Result<(), Failure> {
    let (key, elements) = arguments.key_and_elements()?;
    write::show(client, global, &key, &collection(&key).remove(elements).await?);
    Ok(())
}

/// Prints elements as they come, in the order of their bytes.
pub(crate) async fn list<C: Collection>(
    global: &Global,
    arguments: &ListArgs,
    collection: impl FnOnce(&Key) -> C,
) -> Result<(), Failure> {
    let key = arguments.key.key()?;
    let limit = arguments.limit.unwrap_or(u64::MAX);
    let mut pages = collection(&key).pages(u16::try_from(limit).unwrap_or(PAGE).min(PAGE));
    let mut listing = Listing::<C>::new(global.json);
    while listing.shown < limit
        && let Some(elements) = pages.next_page().await?
    {
        let rest = usize::try_from(limit - listing.shown).unwrap_or(usize::MAX);
        elements.iter().take(rest).for_each(|element| listing.show_among(element, pages.conflicts()));
        if !global.json {
            pages.conflicts().iter().for_each(|field| output::remark(&field_conflict(field)));
        }
    }
    listing.end(&key, pages.is_partial());
    Ok(())
}

/// Tells of an increment of an element: the number that was found in it afterwards. An estimate, as after every write.
pub(crate) fn show_increment(
    client: &Client,
    global: &Global,
    key: &Key,
    reply: WriteReply,
    found: Result<Option<Visible>, Error>,
) {
    let value = found.unwrap_or_else(|error| {
        if !global.json {
            output::remark(&format!("it is applied, but the new number could not be read: {error}"));
        }
        None
    });
    write::show(client, global, key, &WriteReply { value: value.unwrap_or(Visible::Nothing), ..reply });
}

/// Prints how many elements there are.
pub(crate) async fn size<C: Collection>(
    global: &Global,
    key: &KeyArg,
    collection: impl FnOnce(&Key) -> C,
) -> Result<(), Failure> {
    let key = key.key()?;
    let size = collection(&key).size().await?;
    if global.json {
        output::json(&json!({ "key": output::key_json(&key), "size": size }));
    } else {
        output::line(&size.to_string());
    }
    Ok(())
}

/// Prints elements: one line each as they come, or at the end one JSON document.
pub(crate) struct Listing<C: Collection> {
    json: bool,
    shown: u64,
    elements: Vec<Value>,
    kind: std::marker::PhantomData<C>,
}

impl<C: Collection> Listing<C> {
    pub(crate) fn new(json: bool) -> Listing<C> {
        Listing { json, shown: 0, elements: Vec::new(), kind: std::marker::PhantomData }
    }

    /// Shows one element.
    pub(crate) fn show(&mut self, element: &C::Element) {
        self.show_among(element, &[]);
    }

    /// Shows one element; these are in conflict.
    fn show_among(&mut self, element: &C::Element, conflicts: &[Bytes]) {
        self.shown += 1;
        if self.json {
            self.elements.push(json_among::<C>(element, conflicts));
        } else {
            let mut line = C::line(element);
            line.push(b'\n');
            output::bytes(&line);
        }
    }

    /// Ends the list.
    pub(crate) fn end(self, key: &Key, is_partial: bool) {
        if self.json {
            output::json(&json!({ "key": output::key_json(key), "elements": self.elements, "partial": is_partial }));
            return;
        }
        if self.shown == 0 {
            output::remark("(nothing)");
        }
        if is_partial {
            output::remark(read::PARTIAL);
        }
    }
}

/// An element in JSON; these are in conflict.
pub(crate) fn json_among<C: Collection>(element: &C::Element, conflicts: &[Bytes]) -> Value {
    let mut shown = C::json(element);
    if let (true, Value::Object(shown)) = (C::is_among(element, conflicts), &mut shown) {
        shown.insert("conflict".into(), json!(true));
    }
    shown
}

/// An element in JSON: as text under its name if it is UTF-8, else hexadecimal under the name with `_hex`.
pub(crate) fn element_json(name: &str, element: &Bytes) -> JsonMap<String, Value> {
    let mut map = JsonMap::new();
    match std::str::from_utf8(element) {
        Ok(text) => map.insert(name.to_owned(), json!(text)),
        Err(_) => map.insert(format!("{name}_hex"), json!(output::hex(element))),
    };
    map
}
