//! Replays the body of every fuzz target on its corpus: the seeds, and whatever fuzzing once found.

#[path = "../fuzz/src/lib.rs"]
mod bodies;

use std::fs;
use std::path::Path;

#[test]
fn every_target_passes_on_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, body) in bodies::TARGETS {
        let mut count = 0;
        for entry in fs::read_dir(corpus.join(name)).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            body(&fs::read(&path).unwrap());
            count += 1;
        }
        println!("{name}: {count} inputs");
        assert!(count > 0, "{name} has no corpus");
    }
}

#[test]
fn every_target_passes_on_short_inputs() {
    for (_, body) in bodies::TARGETS {
        body(&[]);
        for first in 0..=255 {
            body(&[first]);
            body(&[first, 0x81]);
            body(&[0, first, first ^ 0x55, 1]);
        }
    }
}
