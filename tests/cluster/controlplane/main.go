// Command controlplane is a real Kubernetes control plane on loopback, in one binary, for Doorward's tests: etcd,
// kube-apiserver and kube-controller-manager, linked from their own modules and started from their own commands.
//
// One file a verb. `start` is what a test calls; the three programs are what `start` runs as its children, each with the
// flags of the program it is named after, so that each can be stopped and started alone. `cel` starts nothing: it says what
// the API server makes of expressions.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
)

// verbs maps a verb to what it runs; the number is the exit status. A new verb is a file of its own and a line here.
var verbs = map[string]func(args []string) int{
	"start":               start,
	etcdName:              runEtcd,
	apiserverName:         runAPIServer,
	controllerManagerName: runControllerManager,
	celName:               evaluateCel,
}

func main() {
	if len(os.Args) > 1 {
		if run, known := verbs[os.Args[1]]; known {
			os.Exit(run(os.Args[2:]))
		}
	}
	names := make([]string, 0, len(verbs))
	for name := range verbs {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintf(os.Stderr, "usage: controlplane VERB [FLAG...]; the verbs are %s\n", strings.Join(names, ", "))
	os.Exit(2)
}
