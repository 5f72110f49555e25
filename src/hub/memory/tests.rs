use super::model;
use crate::choices::random_bytes;

#[test]
fn answers_like_the_model() {
    for seed in 1..200 {
        model::obey(&random_bytes(seed, 2_000));
    }
}
