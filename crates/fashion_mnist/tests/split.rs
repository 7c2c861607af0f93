//! Validation splits and epoch orders.
#![allow(clippy::unwrap_used)]

use fashion_mnist::{SplitError, epoch_order, split_validation};

fn sorted(mut indices: Vec<u32>) -> Vec<u32> {
    indices.sort_unstable();
    indices
}

#[test]
fn disjoint_and_complete() {
    for (n_total, n_validation) in [(1, 0), (2, 1), (100, 0), (100, 99), (60_000, 6_000), (60_000, 12_000)] {
        let (train, validation) = split_validation(n_total, n_validation, 7).unwrap();
        assert_eq!(train.len(), n_total - n_validation);
        assert_eq!(validation.len(), n_validation);
        let all = sorted([train, validation].concat());
        assert!(all.into_iter().eq(0..n_total as u32));
    }
}

#[test]
fn the_seed_decides() {
    let split = |seed| split_validation(1000, 100, seed).unwrap();
    assert_eq!(split(1), split(1));
    assert_ne!(sorted(split(1).1), sorted(split(2).1));
}

#[test]
fn bad_counts_are_errors() {
    for (n_total, n_validation) in [(0, 0), (10, 10), (10, 11), (0, usize::MAX)] {
        assert_eq!(
            split_validation(n_total, n_validation, 0),
            Err(SplitError::NothingToTrainOn { n_total, n_validation })
        );
    }
    #[cfg(target_pointer_width = "64")]
    assert_eq!(split_validation(1 << 32, 1, 0), Err(SplitError::TooMany { n_total: 1 << 32 }));
}

#[test]
fn epochs_reorder_the_same_indices() {
    let indices: Vec<u32> = (100..400).collect();
    let orders: Vec<Vec<u32>> = (0..4).map(|epoch| epoch_order(&indices, 3, epoch)).collect();
    for (i, order) in orders.iter().enumerate() {
        assert_eq!(sorted(order.clone()), indices);
        assert_ne!(order, &indices);
        assert!(orders[..i].iter().all(|other| other != order));
    }
    assert_eq!(orders[2], epoch_order(&indices, 3, 2));
    assert_ne!(orders[2], epoch_order(&indices, 4, 2));
    assert_eq!(epoch_order(&[], 1, 1), [0; 0]);
    assert_eq!(epoch_order(&[9], 1, 1), [9]);
}

/// Computed by an independent implementation of the documented algorithm. If these change, published runs can no
/// longer be repeated.
#[test]
fn golden_orders() {
    let (train, validation) = split_validation(10, 3, 42).unwrap();
    assert_eq!((train, validation), (vec![7, 1, 9, 4, 3, 8, 5], vec![6, 0, 2]));
    let indices: Vec<u32> = (0..10).collect();
    assert_eq!(epoch_order(&indices, 42, 0), [7, 5, 3, 0, 4, 1, 9, 2, 8, 6]);
    assert_eq!(epoch_order(&indices, 42, 1), [6, 1, 5, 7, 3, 9, 8, 0, 2, 4]);
}
