//! Whether a number is the sum of some of a set of numbers: meet in the middle, so 36 of them take a quarter million
//! sums on each side.

/// More numbers than this are not searched.
pub const ITEMS_MAX: usize = 36;

/// The sums of all subsets of a set, in two halves.
#[derive(Debug)]
pub struct SubsetSums {
    left: Vec<i128>,
    /// Sorted.
    right: Vec<i128>,
}

impl SubsetSums {
    /// Prepares a search; `None` if there are too many numbers.
    pub fn of(items: &[i128]) -> Option<SubsetSums> {
        if items.len() > ITEMS_MAX {
            return None;
        }
        let (left, right) = items.split_at(items.len() / 2);
        let mut right = all_sums(right);
        right.sort_unstable();
        Some(SubsetSums { left: all_sums(left), right })
    }

    /// Whether some subset (perhaps the empty one) has this sum.
    pub fn contains(&self, sum: i128) -> bool {
        self.left.iter().any(|part| self.right.binary_search(&(sum - part)).is_ok())
    }
}

fn all_sums(items: &[i128]) -> Vec<i128> {
    let mut sums = vec![0];
    for item in items {
        let with: Vec<i128> = sums.iter().map(|sum| sum + item).collect();
        sums.extend(with);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_subsets_are_found_and_others_are_not() {
        let items: Vec<i128> = (0..20).map(|power| 3_i128.pow(power)).collect();
        let sums = SubsetSums::of(&items).unwrap();
        assert!(sums.contains(0));
        assert!(sums.contains(3 + 27 + 3_i128.pow(19)));
        assert!(!sums.contains(2));
        assert!(!sums.contains(-1));
    }

    #[test]
    fn too_many_numbers_are_not_searched() {
        assert!(SubsetSums::of(&[1; ITEMS_MAX + 1]).is_none());
    }
}
