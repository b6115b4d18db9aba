//! Which template a PetSet has. Kubernetes makes a pod anew from the template of the moment, whenever and wherever one ends, so
//! a changed template would reach pods that nobody has decided to renew. Therefore the PetSets of a ring in use keep the
//! template that they have until a request gives them another one, rack by rack.

use api::PetSet;
use api::names::{CONTAINER, INIT_CONTAINER, RENDER_CONTAINER, TEMPLATE};
use api::petset::PetSetSpec;
use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};

use crate::hash::hash;

/// The built PetSet with the template that the present one has, if an operator has given it that. A template that somebody else
/// has edited is replaced by the built one.
pub fn held(built: PetSet, present: &PetSet) -> PetSet {
    if !is_given(present) {
        return built;
    }
    let spec = PetSetSpec { template: present.spec.template.clone(), ..built.spec };
    identified(PetSet { spec, ..built })
}

/// Whether a restart would bring another template than the present one.
pub fn waits(built: &PetSet, present: &PetSet) -> bool {
    is_given(present) && identity(&built.spec.template) != identity(&present.spec.template)
}

/// Changes everything in a template that depends on the version of Cassandra: the image of the containers that come from the
/// image of the database, and, given the old and the new one, the user that the pods run as. A user that the template names
/// itself stays.
pub fn set_release(template: &mut PodTemplateSpec, image: &str, users: Option<[i64; 2]>) {
    let Some(pod) = &mut template.spec else { return };
    let change = |user: &mut Option<i64>| {
        if let Some([old, new]) = users
            && *user == Some(old)
        {
            *user = Some(new);
        }
    };
    if let Some(context) = &mut pod.security_context {
        change(&mut context.run_as_user);
        change(&mut context.fs_group);
    }
    let own =
        |one: &&mut Container| [CONTAINER, INIT_CONTAINER, RENDER_CONTAINER].contains(&one.name.as_str());
    for container in pod.containers.iter_mut().chain(pod.init_containers.iter_mut().flatten()).filter(own) {
        if let Some(context) = &mut container.security_context {
            change(&mut context.run_as_user);
        }
        if container.name != RENDER_CONTAINER {
            container.image = Some(image.to_owned());
        }
    }
}

/// Notes which template the PetSet has.
pub(crate) fn identified(mut petset: PetSet) -> PetSet {
    let identity = identity(&petset.spec.template);
    petset.metadata.annotations.get_or_insert_default().insert(TEMPLATE.to_owned(), identity);
    petset
}

/// Whether an operator has given the template. Releases before this one did not note it.
fn is_given(petset: &PetSet) -> bool {
    let noted = petset.metadata.annotations.as_ref().and_then(|annotations| annotations.get(TEMPLATE));
    noted.is_none_or(|noted| *noted == identity(&petset.spec.template))
}

fn identity(template: &PodTemplateSpec) -> String {
    hash(serde_json::to_string(template).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use api::{Cassandra, CassandraVersion};
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::{Configuration, Inputs, Resolved, Stored, given};

    fn cassandra(memory: &str) -> Cassandra {
        let container = json!({ "name": "cassandra", "resources": { "limits": { "memory": memory } } });
        serde_json::from_value(json!({
            "metadata": { "name": "db", "namespace": "ns" },
            "spec": {
                "version": "4.1.10", "storage": {},
                "podTemplate": { "spec": { "containers": [container, { "name": "sidecar", "image": "sidecar:1" }] } },
            },
        }))
        .unwrap()
    }

    fn version(name: &str, user: i64) -> CassandraVersion {
        serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": {
                "version": name, "db": { "image": format!("cassandra:{name}") },
                "securityContext": { "runAsUser": user },
            },
        }))
        .unwrap()
    }

    fn built(cassandra: &Cassandra, version: &CassandraVersion) -> PetSet {
        let resolved = Resolved::of(cassandra);
        let keys = Configuration::of(&resolved, None, &Stored::default()).keys;
        crate::petsets(&resolved, &Inputs { version, image: "render-config:1", keys: &keys }).remove(0)
    }

    #[test]
    fn a_changed_release_is_the_template_that_is_built_for_it() {
        let cassandra = cassandra("4Gi");
        let [old, new] = [version("4.1.10", 999), version("5.0.6", 1000)];
        let mut template = built(&cassandra, &old).spec.template;
        set_release(&mut template, "cassandra:5.0.6", Some([999, 1000]));
        assert_eq!(template, built(&cassandra, &new).spec.template);
        set_release(&mut template, "cassandra:4.1.10", Some([1000, 999]));
        assert_eq!(template, built(&cassandra, &old).spec.template, "and back");
    }

    #[test]
    fn a_user_that_the_template_names_stays() {
        let mut cassandra = cassandra("4Gi");
        let pod = cassandra.spec.pod_template.as_mut().and_then(|template| template.spec.as_mut()).unwrap();
        pod.security_context = serde_json::from_value(json!({ "runAsUser": 5000 })).unwrap();
        let mut template = built(&cassandra, &version("4.1.10", 999)).spec.template;
        set_release(&mut template, "cassandra:5.0.6", Some([999, 1000]));
        assert_eq!(template, built(&cassandra, &version("5.0.6", 1000)).spec.template);
    }

    #[rstest]
    #[case::noted(true)]
    #[case::given_by_an_older_release(false)]
    fn a_petset_in_use_keeps_the_template_that_an_operator_gave_it(#[case] noted: bool) {
        let version = version("4.1.10", 999);
        let mut present = built(&cassandra("4Gi"), &version);
        let mut edited = built(&cassandra("8Gi"), &version);
        edited.spec.replicas = Some(5);
        if !noted {
            present.metadata.annotations = None;
        }
        assert!(waits(&edited, &present));
        let held = held(edited.clone(), &present);
        assert_eq!(held.spec.template, present.spec.template);
        assert_eq!(held.spec.replicas, Some(5), "nothing else is kept");
        assert!(!waits(&held, &present) && waits(&edited, &held));
    }

    #[test]
    fn a_template_that_somebody_else_has_edited_is_put_back() {
        let version = version("4.1.10", 999);
        let wanted = built(&cassandra("4Gi"), &version);
        let mut present = wanted.clone();
        set_release(&mut present.spec.template, "mine:1", None);
        assert!(!waits(&wanted, &present));
        assert_eq!(held(wanted.clone(), &present), wanted);
    }

    #[test]
    fn a_given_template_is_what_the_provisioner_would_apply() {
        let (old, edited, version) = (cassandra("4Gi"), cassandra("8Gi"), version("4.1.10", 999));
        let (present, wanted) = (built(&old, &version), built(&edited, &version));
        let resolved = Resolved::of(&edited);
        let given = given(&resolved, &resolved.racks[0], &present, wanted.spec.template.clone());
        assert_eq!(given, wanted);
    }
}
