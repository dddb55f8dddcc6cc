//! What the agent and `rutter config check` take from the environment into the configuration, so
//! that both judge a file alike.

use std::ffi::OsString;

use crate::config::Overrides;

/// The overrides that `variable` finds; a process passes [`std::env::var_os`]. Text that is not
/// UTF-8 is passed on with marks in it, for the configuration to refuse.
pub(super) fn overrides(variable: impl Fn(&'static str) -> Option<OsString>) -> Overrides {
    let text = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
    Overrides {
        rutter_advertise_cluster_ips: text("RUTTER_ADVERTISE_CLUSTER_IPS"),
        calico_advertise_cluster_ips: text("CALICO_ADVERTISE_CLUSTER_IPS"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variable_is_read_by_its_own_name() {
        let found = overrides(|name| Some(format!("value of {name}").into()));
        assert_eq!(
            found,
            Overrides {
                rutter_advertise_cluster_ips: Some(
                    "value of RUTTER_ADVERTISE_CLUSTER_IPS".to_owned()
                ),
                calico_advertise_cluster_ips: Some(
                    "value of CALICO_ADVERTISE_CLUSTER_IPS".to_owned()
                ),
            }
        );
        assert_eq!(overrides(|_| None), Overrides::default());
    }
}
