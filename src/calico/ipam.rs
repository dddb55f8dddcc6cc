//! IPPool and BlockAffinity: which addresses pods have, and which of those a node has.

use serde_json::Value;

use super::object::{Reader, Unreadable, shown};
use crate::types::Prefix;

/// A range of pods' addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpPool {
    /// All of it.
    pub cidr: Prefix,
    /// `disableBGPExport`: nothing of it is announced.
    pub disable_bgp_export: bool,
    /// How packets get from node to node.
    pub encapsulation: Encapsulation,
}

/// `ipipMode` and `vxlanMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encapsulation {
    /// As they are.
    #[default]
    None,
    /// In IP (RFC 2003), between all nodes.
    Ipip,
    /// In IP, between nodes of different networks.
    IpipCrossSubnet,
    /// In VXLAN, between all nodes; Calico's own agent installs the routes.
    Vxlan,
    /// In VXLAN, between nodes of different networks.
    VxlanCrossSubnet,
}

/// A part of a pool that a node has, or had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// All of it.
    pub cidr: Prefix,
    /// Whose it is.
    pub node: String,
    /// Whether it really is.
    pub state: BlockState,
}

/// `state` of a BlockAffinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockState {
    /// The node's, or without a word, as older versions left it.
    Confirmed,
    /// About to be the node's.
    Pending,
    /// Not the node's for much longer; or deleted already.
    Leaving,
}

pub(super) fn pool(reader: &mut Reader<'_>) -> Result<IpPool, Unreadable> {
    let cidr = cidr(reader);
    let disable_bgp_export = reader.field("disableBGPExport");
    let mut mode = |path, always, cross_subnet| {
        let choices = [
            ("Never", Encapsulation::None),
            ("Always", always),
            ("CrossSubnet", cross_subnet),
        ];
        reader.choice(path, &choices)
    };
    let ipip = mode(
        "ipipMode",
        Encapsulation::Ipip,
        Encapsulation::IpipCrossSubnet,
    );
    let vxlan = mode(
        "vxlanMode",
        Encapsulation::Vxlan,
        Encapsulation::VxlanCrossSubnet,
    );
    let (ipip, vxlan) = (ipip?.unwrap_or_default(), vxlan?.unwrap_or_default());
    Ok(IpPool {
        cidr: cidr?,
        disable_bgp_export: disable_bgp_export?.unwrap_or(false),
        // Calico has them exclude each other.
        encapsulation: if ipip == Encapsulation::None {
            vxlan
        } else {
            ipip
        },
    })
}

pub(super) fn block(reader: &mut Reader<'_>) -> Result<Block, Unreadable> {
    let cidr = cidr(reader);
    let node = reader.text("node", |name| Ok(name.to_owned()));
    let state = reader.choice(
        "state",
        &[
            ("confirmed", BlockState::Confirmed),
            ("pending", BlockState::Pending),
            ("pendingDeletion", BlockState::Leaving),
        ],
    );
    // A bool in one group and a text in the other.
    let deleted = match reader.value("deleted") {
        Value::Null => Ok(false),
        Value::Bool(deleted) => Ok(*deleted),
        Value::String(text) if text.is_empty() || text == "false" => Ok(false),
        Value::String(text) if text == "true" => Ok(true),
        value @ (Value::String(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(format!("is {}; write true or false", shown(value)))
        }
    };
    let deleted = reader.checked("deleted", deleted);
    let Some(node) = node? else {
        reader.problem("node", "is missing");
        return Err(Unreadable);
    };
    Ok(Block {
        cidr: cidr?,
        node,
        state: match (deleted?, state?) {
            (true, _) => BlockState::Leaving,
            (false, state) => state.unwrap_or(BlockState::Confirmed),
        },
    })
}

fn cidr(reader: &mut Reader<'_>) -> Result<Prefix, Unreadable> {
    let cidr = reader.text("cidr", |text| {
        text.parse::<Prefix>()
            .map_err(|error| format!("is {text:?}: {error}"))
    });
    cidr?.ok_or_else(|| {
        reader.problem("cidr", "is missing");
        Unreadable
    })
}
