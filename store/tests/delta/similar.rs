//! Which layer is most like another one.

use larder_store::delta::{Sketch, similar};

use super::*;

fn sketch(plain: &[u8]) -> Sketch {
    Sketch::read(&mut &plain[..], &Cancel::new()).unwrap()
}

#[test]
fn the_layer_of_a_month_ago_comes_first() {
    let (before, after) = month(1);
    let few = tar(&[file("./etc/new", noise(1, 5000), 3), file("elsewhere", noise(2, 9000), 3)]);
    let others = tar(&(0..300).map(|n| file(&format!("opt/{n}"), noise(n, 30_000), 1)).collect::<Vec<_>>());
    let candidates = [&others, &few, &before, &after, &after].map(|layer| sketch(layer));
    let ranking = similar(&sketch(&after), &candidates);
    let order: Vec<_> = ranking.iter().map(|(at, _)| *at).collect();
    assert_eq!(
        order,
        [3, 4, 2, 1],
        "those that are equal in their order, what has nothing of it is not there"
    );
    assert!(ranking[2].1 > after.len() as u64 / 2, "{ranking:?}");
}

#[test]
fn sizes_matter_and_samples_are_enough() {
    // More members than a sketch keeps; half of them have other sizes in one layer, a tenth in the other.
    let layer = |every: u64| {
        let size =
            |n: u64| if every > 0 && n.is_multiple_of(every) { 1500 } else { 100 + (n as usize % 900) };
        tar(&(0..20_000).map(|n| file(&format!("d{}/f{n}", n % 50), vec![1; size(n)], 1)).collect::<Vec<_>>())
    };
    let (target, half, tenth) = (sketch(&layer(0)), sketch(&layer(2)), sketch(&layer(10)));
    let ranking = similar(&target, &[half, tenth, target.clone()]);
    let order: Vec<_> = ranking.iter().map(|(at, _)| *at).collect();
    assert_eq!(order, [2, 1, 0]);
}

#[test]
fn no_tar_and_nothing_are_like_nothing() {
    let layer = sketch(&month(1).0);
    for other in [&b""[..], b"no tar", &noise(1, 100_000)] {
        assert_eq!(similar(&layer, &[sketch(other)]), []);
        assert_eq!(similar(&sketch(other), std::slice::from_ref(&layer)), []);
    }
}
