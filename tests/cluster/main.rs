//! Doorward in a real control plane: etcd, kube-apiserver and kube-controller-manager drive the `doorward` binary over its own sockets.
//!
//! What is asserted here is what Kubernetes does with Doorward's answers, never what a model of it would do. README.md says how to run
//! it and what the control plane is.
//!
//! Most tests share one control plane and one door, each in a namespace of its own. Tests that stop one of the two take turns on a
//! second control plane.
//!
//! - `controlplane`, `client`: starting it, and talking to it
//! - `door`, `certificates`, `webhooks`: the `doorward` binary, and its webhook configurations
//! - `apart`: a door with settings of its own for one namespace
//! - `kubelet`, `sandbox`, `webhook`, `injector`, `forwarder`, `caller`: the parts that are played: a node and its containers, other webhooks
//!   (Linkerd's injector), kube-proxy, a stranger
//! - `openbao`: a real server for secrets; `kept`: child processes
//! - `namespaces`, `objects`: a namespace a test, and what goes into it
//! - `refusal`: what a refusal must say
//! - `exported`, `goldens`: the library's cases with what their rules are written out as; the golden pods
//! - `deadline`: waiting for a condition
//! - `corpus`, `completed`: every case of the library, sent; what the API server demands of an object beside what its case says
//! - `definitions`: the kinds of other projects that cases are written in
//! - `discovery`: every way for a pod into the cluster is guarded or listed
//! - `schemas`: what policies are checked against is what this Kubernetes has
//!
//! `oracle` needs no control plane, only its binary: it asks the API server's code what expressions mean.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::needless_pass_by_value,
    reason = "all of it is test code, also outside of the functions marked so; objects are written once and given away"
)]

mod apart;
mod caller;
mod certificates;
mod client;
mod completed;
mod controlplane;
mod deadline;
mod definitions;
mod door;
mod forwarder;
mod injector;
mod kept;
mod kubelet;
mod namespaces;
mod objects;
mod openbao;
mod refusal;
mod sandbox;
mod webhook;
mod webhooks;

mod corpus;
mod discovery;
mod drain;
#[path = "../exported/mod.rs"]
mod exported;
#[path = "../goldens/mod.rs"]
mod goldens;
mod injected;
mod live;
mod login;
mod native;
mod native_served;
mod neighbours;
mod oracle;
mod outage;
mod refused;
mod reinvoked;
mod related;
mod requests;
mod schemas;
mod waivers;
mod workloads;
