//! The ServiceAccount of the pods: it has no rights, and the pods get no token for it.

use k8s_openapi::api::core::v1::ServiceAccount;

use crate::resolved::Resolved;

/// `None` if every rack names another one.
pub(crate) fn account(resolved: &Resolved) -> Option<ServiceAccount> {
    let is_ours = |name: Option<&str>| name.is_none_or(|name| name == resolved.name);
    resolved.racks.iter().any(|rack| is_ours(rack.account())).then(|| ServiceAccount {
        metadata: resolved.meta(resolved.name.clone()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })
}
