//! The real side of the matcher's `Nearest`: usearch's graph (HNSW, Malkov and Yashunin, 2016).

use hostmedic_model::vector::{DIMENSIONS, Vector};
use hostmedic_reason::matching::dense::Nearest;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

/// Neighbours of a vector in the graph.
const CONNECTIVITY: usize = 16;
/// How widely is searched for the neighbours of a new vector.
const EXPANSION_ADD: usize = 64;
/// How widely is searched for an answer: with 64, one in a hundred of the nearest ten is missed
/// among 40,000 vectors.
const EXPANSION_SEARCH: usize = 256;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why no index could be built. The catalogue works without one, only slower.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// The library said no: there is not enough memory.
    #[error("cannot index {count} vectors: {source}; matching goes on without an index")]
    Library {
        /// How many were to be indexed.
        count: usize,
        /// What it said.
        source: Source,
    },
}

/// A graph over vectors.
pub struct Graph(Index);

impl Graph {
    /// Builds it from vectors under keys; several may have the same. Zeros are left out: they
    /// have no direction.
    ///
    /// # Errors
    /// When memory does not suffice.
    pub fn build(vectors: impl IntoIterator<Item = (u32, Vector)>) -> Result<Self, GraphError> {
        let zero = Vector::zero();
        let vectors: Vec<_> = vectors
            .into_iter()
            .filter(|(_, vector)| *vector != zero)
            .collect();
        Self::try_build(&vectors).map_err(|source| GraphError::Library {
            count: vectors.len(),
            source,
        })
    }

    fn try_build(vectors: &[(u32, Vector)]) -> Result<Self, Source> {
        let options = IndexOptions {
            dimensions: DIMENSIONS,
            metric: MetricKind::Cos,
            quantization: ScalarKind::I8,
            connectivity: CONNECTIVITY,
            expansion_add: EXPANSION_ADD,
            expansion_search: EXPANSION_SEARCH,
            multi: true,
        };
        let index = Index::new(&options)?;
        index.reserve(vectors.len())?;
        for (key, vector) in vectors {
            index.add(u64::from(*key), vector.values())?;
        }
        Ok(Self(index))
    }

    /// How many vectors it holds.
    pub fn len(&self) -> usize {
        self.0.size()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Nearest for Graph {
    fn nearest(&self, vector: &Vector, count: usize) -> Vec<u32> {
        if self.is_empty() || *vector == Vector::zero() {
            return Vec::new();
        }
        // A search that fails finds nobody, and the catalogue then looks at everyone.
        let found = self.0.search(vector.values(), count);
        let keys = found.map(|found| found.keys).unwrap_or_default();
        keys.into_iter()
            .filter_map(|key| u32::try_from(key).ok())
            .collect()
    }
}
