//! One answer of `/metrics`.

/// The samples of one moment.
pub struct Scrape(String);

impl Scrape {
    /// The body of the answer.
    pub fn new(body: Vec<u8>) -> Self {
        Self(String::from_utf8(body).unwrap())
    }

    /// The names of the families.
    pub fn families(&self) -> impl Iterator<Item = &str> {
        self.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
    }

    /// The sample of a series, written as it is on the page: `gannet_limit{name="max_page"}`.
    pub fn sample(&self, series: &str) -> Option<f64> {
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        self.0.lines().find_map(value)
    }

    /// The sum of the samples of a family that have all of `labels`, each as `outcome="queued"`.
    pub fn sum(&self, family: &str, labels: &[&str]) -> u64 {
        let samples = self.0.lines().filter_map(|line| line.strip_prefix(family));
        // The family itself and no longer name; a figure of the process has no labels.
        let samples = samples.filter(|rest| rest.starts_with(['{', ' ']));
        let values: Vec<u64> = samples
            .filter(|sample| labels.iter().all(|label| sample.contains(label)))
            .map(|sample| sample.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!(!values.is_empty(), "no {family} with {labels:?}");
        values.into_iter().sum()
    }
}
