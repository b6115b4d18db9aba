//! What the pods run as: an account without any rights, and without a token in the pods.

use k8s_openapi::api::core::v1::ServiceAccount;

use crate::plan::Plan;

pub(super) fn account(plan: &Plan) -> ServiceAccount {
    ServiceAccount {
        metadata: plan.meta(plan.name.clone()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
