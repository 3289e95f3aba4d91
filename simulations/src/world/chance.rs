//! All chance of a world: one seed, and a stream of its own for each use, so that a draw more in one place does not
//! shift the draws of another.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use starling::time::micros;

/// What a stream of chance is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Shape of the cluster and of the run.
    Options,
    /// Delays and losses of frames.
    Network,
    /// Turns, syncs and jobs of the nodes.
    Nodes,
    /// Epochs and seeds that nodes draw at a start.
    Entropy,
    /// Which faults happen, and when.
    Faults,
    /// What clients ask, and when.
    Workload,
    /// Who joins and who leaves, and when.
    Members,
    /// How many replicas, in how many zones, and which quorums.
    Placement,
    /// What operators do beyond letting members come and go.
    Operator,
    /// Which requests ask for answers from several zones.
    Zones,
}

/// A seeded generator with the draws that the world needs.
#[derive(Debug, Clone)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// The stream of one use under one seed.
    pub fn new(seed: u64, of: Use) -> Chance {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(of as u64);
        Chance(rng)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 to `bound` - 1; 0 if the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias of the remainder is below 2^-40 for every bound used here.
        self.0.next_u64() % bound.max(1)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// A span from `low` to `high`, both included.
    pub fn span(&mut self, low: Duration, high: Duration) -> Duration {
        Duration::from_micros(self.between(micros(low), micros(high)))
    }

    /// True this often. Unit: per mille.
    pub fn happens(&mut self, per_mille: u16) -> bool {
        per_mille > 0 && self.below(1000) < u64::from(per_mille)
    }

    /// One element, or `None` of none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let index = self.below(from.len() as u64) as usize;
        from.get(index)
    }

    /// Uniform in (0, 1].
    fn unit(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Exponentially distributed with this mean: the gaps of a Poisson process.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        Duration::from_micros((-self.unit().ln() * micros(mean) as f64) as u64)
    }

    /// Pareto-distributed from `least` on with shape 1.1, cut at `most`: most draws are small, a few very large.
    pub fn heavy_tail(&mut self, least: Duration, most: Duration) -> Duration {
        let drawn = micros(least) as f64 / self.unit().powf(1.0 / 1.1);
        Duration::from_micros(drawn as u64).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_a_function_of_seed_and_use() {
        let draw = |seed, of| Chance::new(seed, of).number();
        assert_eq!(draw(7, Use::Network), draw(7, Use::Network));
        assert_ne!(draw(7, Use::Network), draw(7, Use::Faults));
        assert_ne!(draw(7, Use::Network), draw(8, Use::Network));
    }

    #[test]
    fn exponential_draws_have_the_mean_they_are_asked_for() {
        let mut chance = Chance::new(1, Use::Network);
        let sum: Duration = (0..20_000).map(|_| chance.exponential(Duration::from_millis(10))).sum();
        let mean = sum / 20_000;
        assert!((9_700..10_300).contains(&micros(mean)), "{mean:?}");
    }
}
