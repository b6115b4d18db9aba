//! The role of a node in its ring when it starts.
//!
//! Cassandra does not bootstrap (stream data into) a node that finds itself among its own seeds. So only a node that begins the
//! ring, or is already a member, has itself as a seed; any other must fetch its share from the others first.

use std::path::{Path, PathBuf};

use settings::Members;

use crate::files::{Error, read, write};

/// File on the volume of a node that has not joined its ring yet: the host id of the node that it replaces, or nothing.
const MARK: &str = ".joining";

/// The role of a node in its ring.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// It has its data and restarts.
    Member,
    /// It begins the ring.
    Founder,
    /// It joins after the node before it.
    Newcomer {
        /// Host name of the node before it, if there is one.
        after: Option<String>,
    },
    /// It has lost its data and takes over its own former place.
    Successor {
        /// Host id that the ring knows it by.
        was: String,
    },
}

/// State of a node's volume.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Cassandra has been started on it.
    pub data: bool,
    /// Content of the file `.joining`, if it exists.
    pub mark: Option<String>,
}

impl Part {
    /// The role of a pod. `ring_is_up` matters only for a node without data: whether any other node is up.
    pub(crate) fn of(members: &Members, pod: &str, found: &Found, ring_is_up: bool) -> Self {
        let known = members.host_ids.get(pod);
        let joined = match (&found.mark, known) {
            (None, _) => found.data,
            // The node that was started here has been seen as a member since.
            (Some(was), Some(known)) => found.data && was != known,
            (Some(_), None) => false,
        };
        let position = members.order.iter().position(|host| is_of(host, pod));
        match (joined, known, position) {
            (true, ..) => Self::Member,
            (_, Some(was), _) => Self::Successor { was: was.clone() },
            (_, None, Some(0)) if !ring_is_up && !found.data => Self::Founder,
            (_, None, position) => {
                let before = position.and_then(|position| position.checked_sub(1));
                Self::Newcomer { after: before.and_then(|before| members.order.get(before).cloned()) }
            }
        }
    }

    /// Whether the node has itself as a seed.
    pub(crate) fn is_own_seed(&self) -> bool {
        matches!(self, Self::Member | Self::Founder)
    }

    /// Notes on the volume what the next start must know.
    pub(crate) fn note(&self, data: &Path) -> Result<(), Error> {
        let path = data.join(MARK);
        match self {
            Self::Founder | Self::Member => match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(failed("remove", path, error))
                }
                _ => Ok(()),
            },
            Self::Newcomer { .. } => write(&path, ""),
            Self::Successor { was } => write(&path, was),
        }
    }
}

impl Found {
    /// Reads the volume. Cassandra creates its system tables before anything else.
    pub(crate) fn on(data: &Path) -> Result<Self, Error> {
        let mark = read(&data.join(MARK))?.map(|mark| mark.trim().to_owned());
        Ok(Self { data: data.join("data/system").exists(), mark })
    }
}

fn failed(verb: &'static str, path: PathBuf, source: std::io::Error) -> Error {
    Error::File { verb, path, source }
}

/// Whether a host name belongs to a pod.
pub(crate) fn is_of(host: &str, pod: &str) -> bool {
    host.split('.').next() == Some(pod)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn members(known: &[(&str, &str)]) -> Members {
        let order = ["a-0.a.ns.svc", "b-0.b.ns.svc", "a-1.a.ns.svc"].map(str::to_owned).to_vec();
        let host_ids = known.iter().map(|(pod, id)| ((*pod).to_owned(), (*id).to_owned())).collect();
        Members { order, host_ids }
    }

    fn found(data: bool, mark: Option<&str>) -> Found {
        Found { data, mark: mark.map(str::to_owned) }
    }

    fn after(host: Option<&str>) -> Part {
        Part::Newcomer { after: host.map(str::to_owned) }
    }

    const KNOWN: &[(&str, &str)] = &[("a-0", "1"), ("b-0", "2"), ("a-1", "3")];

    #[rstest]
    #[case::the_first_of_all("a-0", found(false, None), false, Part::Founder)]
    #[case::the_first_of_all_again("a-0", found(true, None), false, Part::Member)]
    #[case::the_first_whose_volume_is_lost_at_once("a-0", found(false, None), true, after(None))]
    #[case::another("b-0", found(false, None), true, after(Some("a-0.a.ns.svc")))]
    #[case::the_second_of_a_rack("a-1", found(false, None), false, after(Some("b-0.b.ns.svc")))]
    #[case::one_that_ended_while_it_joined("a-1", found(true, Some("")), true, after(Some("b-0.b.ns.svc")))]
    #[case::one_that_nobody_knows("c-9", found(false, None), true, after(None))]
    fn in_a_ring_that_is_made(
        #[case] pod: &str,
        #[case] found: Found,
        #[case] ring: bool,
        #[case] part: Part,
    ) {
        assert_eq!(Part::of(&members(&[]), pod, &found, ring), part);
    }

    #[rstest]
    #[case::with_its_data("a-0", found(true, None), Part::Member)]
    #[case::which_has_joined("a-1", found(true, Some("")), Part::Member)]
    #[case::which_has_taken_its_place_again("a-0", found(true, Some("0")), Part::Member)]
    #[case::without_its_data("a-0", found(false, None), Part::Successor { was: "1".to_owned() })]
    #[case::which_ended_while_it_took_its_place("a-0", found(true, Some("1")), Part::Successor { was: "1".to_owned() })]
    #[case::whose_volume_was_lost_twice("a-0", found(false, Some("0")), Part::Successor { was: "1".to_owned() })]
    fn in_a_ring_that_is_there(#[case] pod: &str, #[case] found: Found, #[case] part: Part) {
        for ring in [true, false] {
            assert_eq!(Part::of(&members(KNOWN), pod, &found, ring), part, "whoever answers");
        }
    }

    #[test]
    fn only_who_need_not_join_is_a_seed_to_itself() {
        assert!(Part::Member.is_own_seed() && Part::Founder.is_own_seed());
        assert!(!after(None).is_own_seed() && !Part::Successor { was: String::new() }.is_own_seed());
    }

    #[test]
    fn a_mark_outlives_a_crash_and_ends_with_the_membership() {
        let path = &std::env::temp_dir().join(format!("provisioner-part-{}", std::process::id()));
        std::fs::create_dir_all(path.join("data/system")).unwrap();
        assert_eq!(Found::on(path).unwrap().mark, None);
        Part::Successor { was: "1".to_owned() }.note(path).unwrap();
        assert_eq!(Found::on(path).unwrap().mark.as_deref(), Some("1"));
        Part::Founder.note(path).unwrap();
        Part::Member.note(path).unwrap();
        assert_eq!(Found::on(path).unwrap().mark, None);
        std::fs::remove_dir_all(path).unwrap();
    }
}
