//! Holds the graph to the scan of every vector.

#![allow(clippy::unwrap_used, reason = "tests")]

use hostmedic_index::Graph;
use hostmedic_model::vector::{DIMENSIONS, Vector};
use hostmedic_reason::matching::dense::{Nearest, Scan};

/// Vectors in clusters, as playbooks about one thing are, from a generator that needs no crate.
fn vectors(count: u32) -> Vec<(u32, Vector)> {
    let mut state = 1_u64;
    let mut next = || {
        // xorshift64*, Vigna 2016.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
    };
    let centres: Vec<[f32; DIMENSIONS]> =
        (0..50).map(|_| std::array::from_fn(|_| next())).collect();
    (0..count)
        .map(|key| {
            let centre = &centres[key as usize % centres.len()];
            let values = std::array::from_fn(|at| centre[at] + next());
            (key, Vector::direction_of(&values))
        })
        .collect()
}

#[track_caller]
fn check(count: u32, found_min: f64) {
    let vectors = vectors(count);
    let graph = Graph::build(vectors.iter().cloned()).unwrap();
    let scan = Scan::build(vectors.iter().cloned());
    assert_eq!(graph.len(), count as usize);
    let (mut found, mut sought) = (0, 0);
    for (key, vector) in vectors.iter().step_by(vectors.len() / 50) {
        let near = graph.nearest(vector, 10);
        assert_eq!(near.len(), 10);
        assert_eq!(near[0], *key, "a vector is nearest to itself");
        // What the scan has as nearest must be there, or something as near within a percent.
        let far = scan.ranked(vector, 10);
        let limit = far[9].1 - 0.01;
        let cosine = |key: &u32| vectors[*key as usize].1.cosine(vector);
        found += near.iter().filter(|key| cosine(key) >= limit).count();
        sought += far.len();
    }
    let ratio = found as f64 / sought as f64;
    assert!(
        ratio >= found_min,
        "{ratio} of the nearest were found among {count}"
    );
}

#[test]
fn a_small_library_is_found_whole() {
    check(500, 0.99);
}

/// Goal: a library of 10,000 playbooks is still found.
#[test]
fn a_large_library_is_found_nearly_whole() {
    check(10_000, 0.95);
}

#[test]
fn nothing_is_near_to_nothing() {
    let empty = Graph::build([]).unwrap();
    let one = vectors(1);
    assert!(empty.nearest(&one[0].1, 5).is_empty());
    let graph = Graph::build(one).unwrap();
    assert!(graph.nearest(&Vector::zero(), 5).is_empty());
    let zeros = Graph::build([(0, Vector::zero())]).unwrap();
    assert!(zeros.is_empty());
}
