//! Fragments and who has the first.

use super::*;

#[test]
fn fragments_follow_their_first_for_a_while() {
    let (source, server) = ([192, 0, 2, 1].into(), [10, 0, 0, 1].into());
    let key = FragmentKey { source, mark: 7, protocol: 17 };
    let mut fragments = Fragments::default();
    assert_eq!(fragments.server(&key, 0), None);
    fragments.remember(key, server, 0);
    assert_eq!(fragments.server(&key, LIFE_MS), Some(server));
    assert_eq!(fragments.server(&key, LIFE_MS + 1), None);
    for other in [
        FragmentKey { source: [192, 0, 2, 2].into(), ..key },
        FragmentKey { mark: 8, ..key },
        FragmentKey { protocol: 6, ..key },
    ] {
        assert_eq!(fragments.server(&other, 0), None, "{other:?}");
    }
}
