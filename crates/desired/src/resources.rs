//! Resources of a node, and the size of its heap.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

const MEBI: u64 = 1024 * 1024;
const DEFAULT_CPU: &str = "500m";
const DEFAULT_MEMORY: &str = "1536Mi";

/// The environment variables that size the heap: the whole of it, and its young generation.
pub(crate) const HEAP: [&str; 2] = ["MAX_HEAP_SIZE", "HEAP_NEWSIZE"];

/// The user's requests and limits, completed by KubeDB's rule: a limit is at least its request, and a missing one follows from
/// the other or from the default. The exception: CPU gets no limit unless the user sets one. A node limited to its request
/// starts several times slower, and its clients time out while CPUs are idle.
pub(crate) fn resources(user: Option<&ResourceRequirements>) -> ResourceRequirements {
    let user = user.cloned().unwrap_or_default();
    let (mut requests, mut limits) = (user.requests.unwrap_or_default(), user.limits.unwrap_or_default());
    complete(&mut requests, &mut limits, "cpu", DEFAULT_CPU, None);
    complete(&mut requests, &mut limits, "memory", DEFAULT_MEMORY, Some(DEFAULT_MEMORY));
    ResourceRequirements { requests: Some(requests), limits: Some(limits), claims: user.claims }
}

type Amounts = BTreeMap<String, Quantity>;

fn complete(requests: &mut Amounts, limits: &mut Amounts, name: &str, request: &str, limit: Option<&str>) {
    let quantity = |text: &str| Quantity(text.to_owned());
    let (asked, allowed) = (requests.get(name).cloned(), limits.get(name).cloned());
    let request = asked.clone().or_else(|| allowed.clone()).unwrap_or_else(|| quantity(request));
    let limit = match (asked, allowed) {
        (Some(asked), Some(allowed)) if millis(&asked) > millis(&allowed) => Some(asked),
        (_, Some(allowed)) => Some(allowed),
        (Some(asked), None) => limit.is_some().then_some(asked),
        (None, None) => limit.map(quantity),
    };
    requests.insert(name.to_owned(), request);
    limits.extend(limit.map(|limit| (name.to_owned(), limit)));
}

/// The values of [`HEAP`], derived from the container's memory limit; Cassandra's own script would use the memory
/// of the whole machine. Half of it is left for off-heap memory and the page cache. The maximum is below 32 GiB, from which on
/// object pointers double in size.
pub(crate) fn heap(resources: &ResourceRequirements) -> [(&'static str, String); 2] {
    let heap = (memory(resources).unwrap_or(0) / 2).clamp(256, 31 * 1024);
    let young = (heap / 4).clamp(64, 2 * 1024);
    let [all, new] = HEAP;
    [(all, format!("{heap}M")), (new, format!("{young}M"))]
}

/// The memory limit in MiB.
pub(crate) fn memory(resources: &ResourceRequirements) -> Option<u64> {
    Some(resources.limits.as_ref()?.get("memory").and_then(bytes)? / MEBI)
}

fn bytes(quantity: &Quantity) -> Option<u64> {
    millis(quantity).and_then(|millis| u64::try_from(millis / 1000).ok())
}

/// A quantity in thousandths; `None` if Kubernetes would not accept it.
fn millis(quantity: &Quantity) -> Option<u128> {
    let text = quantity.0.as_str();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}").parse::<u128>().ok()?;
    let decimals = u32::try_from(fraction.len()).ok()?;
    let binary = |power: u32| 1024_u128.checked_pow(power).and_then(|unit| unit.checked_mul(1000));
    let thousandths = match suffix {
        "m" => Some(1),
        "" => Some(1000),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        suffix => {
            let power = match suffix {
                "k" => 3,
                "M" => 6,
                "G" => 9,
                "T" => 12,
                "P" => 15,
                "E" => 18,
                exponent => exponent.strip_prefix(['e', 'E'])?.parse::<u32>().ok()?,
            };
            10_u128.checked_pow(power.checked_add(3)?)
        }
    };
    digits.checked_mul(thousandths?)?.checked_div(10_u128.checked_pow(decimals)?)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn user(request: &str, limit: &str) -> ResourceRequirements {
        let of = |text: &str| {
            (!text.is_empty()).then(|| {
                let parts = text.split(' ').filter_map(|part| part.split_once('='));
                parts.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))).collect()
            })
        };
        ResourceRequirements { requests: of(request), limits: of(limit), claims: None }
    }

    #[rstest]
    #[case::nothing("", "", "cpu=500m memory=1536Mi", "memory=1536Mi")]
    #[case::request_only("memory=4Gi", "", "cpu=500m memory=4Gi", "memory=4Gi")]
    #[case::limit_only("", "memory=4Gi", "cpu=500m memory=4Gi", "memory=4Gi")]
    #[case::small_limit_only("", "memory=512Mi", "cpu=500m memory=512Mi", "memory=512Mi")]
    #[case::both("memory=1Gi", "memory=2Gi", "cpu=500m memory=1Gi", "memory=2Gi")]
    #[case::limit_is_lifted("memory=3Gi", "memory=2000Mi", "cpu=500m memory=3Gi", "memory=3Gi")]
    #[case::cpu_request("cpu=1", "", "cpu=1 memory=1536Mi", "memory=1536Mi")]
    #[case::cpu_limit("", "cpu=2", "cpu=2 memory=1536Mi", "cpu=2 memory=1536Mi")]
    #[case::cpu_lifted("cpu=1500m", "cpu=1", "cpu=1500m memory=1536Mi", "cpu=1500m memory=1536Mi")]
    #[case::others_stay(
        "hugepages-2Mi=4Mi",
        "hugepages-2Mi=4Mi",
        "cpu=500m memory=1536Mi hugepages-2Mi=4Mi",
        "memory=1536Mi hugepages-2Mi=4Mi"
    )]
    fn missing_resources_follow_from_the_given_ones(
        #[case] request: &str,
        #[case] limit: &str,
        #[case] requests: &str,
        #[case] limits: &str,
    ) {
        assert_eq!(resources(Some(&user(request, limit))), user(requests, limits));
    }

    #[rstest]
    #[case("1536Mi", "768M", "192M")]
    #[case("1.5Gi", "768M", "192M")]
    #[case("1Gi", "512M", "128M")]
    #[case("100Mi", "256M", "64M")]
    #[case("8G", "3814M", "953M")]
    #[case("16Gi", "8192M", "2048M")]
    #[case("1Ti", "31744M", "2048M")]
    #[case("2e9", "953M", "238M")]
    #[case("nonsense", "256M", "64M")]
    fn the_heap_is_half_of_the_limit_within_bounds(
        #[case] limit: &str,
        #[case] heap_size: &str,
        #[case] young: &str,
    ) {
        let [(_, max), (_, new)] = heap(&user("", &format!("memory={limit}")));
        assert_eq!((max.as_str(), new.as_str()), (heap_size, young));
    }
}
