package main

import (
	_ "time/tzdata" // CronJobs name time zones, and the machine may have none

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

const controllerManagerName = "kube-controller-manager"

// runControllerManager is kube-controller-manager itself: its own command, with its own flags.
func runControllerManager(args []string) int {
	command := app.NewControllerManagerCommand()
	command.SetArgs(args)
	return cli.Run(command)
}

// controllerManagerFlags gives the flags of kube-controller-manager as kubeadm sets them, without the leader lease
// (there is one) and with a client fast enough for tests. Every controller acts as its own ServiceAccount, as in a real
// cluster: a webhook sees `system:serviceaccount:kube-system:replicaset-controller`, not one common user.
func (s *supervisor) controllerManagerFlags() []string {
	return append([]string{
		"--kubeconfig=" + s.file("controller-manager.kubeconfig"),
		"--secure-port=0",
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + s.file("pki/sa.key"),
		"--root-ca-file=" + s.file("pki/ca.crt"),
		"--cluster-signing-cert-file=" + s.file("pki/ca.crt"),
		"--cluster-signing-key-file=" + s.file("pki/ca.key"),
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--profiling=false",
	}, s.controllerManagerExtra...)
}
