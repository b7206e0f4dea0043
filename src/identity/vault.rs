//! Whether and how a pod logs in to Vault.

use super::model::{Credential, VaultLogin};
use crate::object::PodTemplate;
use crate::settings::Settings;

pub(super) fn read<'a>(_template: PodTemplate<'a>, _settings: &'a Settings, _credentials: &[Credential<'a>]) -> VaultLogin<'a> {
    VaultLogin {
        client: false,
        evidence: None,
        field_path: None,
        vendor: false,
        login: None,
        containers: Vec::new(),
        without_token: Vec::new(),
        token: None,
    }
}
