//! Gauges that are computed from the caches at each scrape: nothing to keep up to date, and no series of deleted objects.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

/// One value of a gauge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Name of the gauge.
    pub gauge: &'static str,
    /// Its help text; the same for all samples of a gauge.
    pub help: &'static str,
    /// Names and values of its labels.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: i64,
}

type Source = Box<dyn Fn() -> Vec<Sample> + Send + Sync>;

/// The sources of samples; clones share them. Several sources may each have their own samples of one gauge.
#[derive(Clone, Default)]
pub(crate) struct Gauges(Arc<Mutex<Vec<Source>>>);

impl Gauges {
    pub(crate) fn add(&self, source: impl Fn() -> Vec<Sample> + Send + Sync + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(source));
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Gauges")
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut gauges: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
        for source in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for sample in source() {
                gauges.entry(sample.gauge).or_default().push(sample);
            }
        }
        for (name, samples) in &gauges {
            let help = samples.first().map_or("", |sample| sample.help);
            let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for sample in samples {
                ConstGauge::new(sample.value).encode(gauge.encode_family(&sample.labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::Metrics;

    use super::*;

    #[test]
    fn the_samples_of_all_sources_are_one_gauge() {
        let metrics = Metrics::new();
        for namespace in ["a", "b"] {
            let labels = vec![("namespace", namespace.to_owned())];
            let sample = Sample { gauge: "rings", help: "Rings", labels, value: 2 };
            metrics.gauges.add(move || vec![sample.clone()]);
        }
        let text = metrics.text().unwrap();
        assert_eq!(text.matches("# TYPE rings gauge").count(), 1, "{text}");
        assert!(text.contains("rings{namespace=\"a\"} 2\nrings{namespace=\"b\"} 2\n"), "{text}");
    }
}
