//! A thousand handshakes at once.

use crate::certificates::{Authority, WithCertificate};
use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::Pen;
use crate::common::process::raise_descriptor_limit;
use crate::peers::Speaker;

const CLIENTS: usize = 1_000;

#[test]
fn a_thousand_clients_shake_hands_at_once() {
    raise_descriptor_limit();
    let authority = Authority::new("authority");
    let servers = [Backend::named("A"), Backend::named("B")];
    let pen = Pen::before(&servers)
        .certificate(&authority.sign(&["web.test"]))
        .options("-r -x 2000")
        .command("ssl_handshake_timeout 600")
        .start();
    // All are there before the first one begins.
    let streams: Vec<_> = (0..CLIENTS).map(|_| Client::connect(pen.address).stream).collect();
    let speaker = Speaker::trusting(&authority);
    let groups: Vec<Vec<_>> = {
        let mut streams = streams.into_iter();
        std::iter::repeat_with(|| streams.by_ref().take(CLIENTS / 20).collect()).take(20).collect()
    };
    std::thread::scope(|scope| {
        for group in groups {
            let speaker = &speaker;
            scope.spawn(move || {
                let open = group
                    .into_iter()
                    .map(|stream| speaker.try_over(stream, "web.test").expect("a handshake"));
                let mut open: Vec<_> = open.collect();
                for (number, client) in open.iter_mut().enumerate() {
                    client.line();
                    let line = number.to_string();
                    assert_eq!(client.exchange(&line), line);
                }
            });
        }
    });
    let metrics = pen.control("metrics");
    assert!(metrics.contains("pen_tls_handshakes_total 1000\n"), "{metrics}");
    assert!(metrics.contains("pen_tls_failures_total 0\n"), "{metrics}");
}
