package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/component-base/version"
)

const (
	// issuer is kubeadm's default, and so the API audience of a token that names none.
	issuer = "https://kubernetes.default.svc.cluster.local"
	// stopGrace is how long a program may take to end after SIGTERM.
	stopGrace = 20 * time.Second
	pollEvery = 20 * time.Millisecond
)

// supervisor owns the three children and answers the commands that come by standard input. Everything in it happens on
// one goroutine, one command after the other.
type supervisor struct {
	dir     string
	audit   bool
	timeout time.Duration
	// Flags a test adds to those of apiserverFlags and controllerManagerFlags.
	apiserverExtra, controllerManagerExtra []string

	etcdPort, apiserverPort            reservedPort
	etcd, apiserver, controllerManager *child
	// services is what serviceNetwork gave.
	services string
	client   *http.Client
	// ctx ends with standard input or by a signal: then whatever is going on is given up.
	ctx context.Context
}

// start is the verb a test calls: it makes the control plane in a directory, says on standard output when it is ready,
// and obeys commands on standard input until that ends. The protocol is in tests/cluster/README.md.
func start(args []string) int {
	// The children die with the thread that started them: locked here, this goroutine's thread lives as long as it does.
	runtime.LockOSThread()

	s := &supervisor{}
	flags := flag.NewFlagSet("start", flag.ExitOnError)
	flags.StringVar(&s.dir, "dir", "", "directory for everything: keys, data, logs; what is there already is used again")
	flags.BoolVar(&s.audit, "audit", false, "write the audit log of kube-apiserver to DIR/audit.log")
	flags.DurationVar(&s.timeout, "timeout", 60*time.Second, "how long a program may take to become ready")
	flags.Func("apiserver-flag", "a flag more for kube-apiserver, such as --apiserver-flag=--v=4; repeatable",
		collect(&s.apiserverExtra))
	flags.Func("controller-manager-flag", "a flag more for kube-controller-manager; repeatable",
		collect(&s.controllerManagerExtra))
	_ = flags.Parse(args) // ExitOnError: it never returns one
	if s.dir == "" || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: controlplane start --dir DIR [--audit] [--timeout 60s] [--apiserver-flag=FLAG]... [--controller-manager-flag=FLAG]...")
		return 2
	}

	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	s.ctx = ctx
	commands := readLines(os.Stdin, cancel)

	began := time.Now()
	defer s.killAll()
	if err := s.bringUp(); err != nil {
		answer(map[string]any{"ready": false, "error": err.Error()})
		return 1
	}
	state := s.state()
	state["ready"], state["seconds"] = true, since(began)
	answer(state)

	for {
		select {
		case <-ctx.Done():
			return 0
		case line := <-commands:
			if ctx.Err() != nil {
				return 0 // both were ready, and the end comes first
			}
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			began := time.Now()
			reply := map[string]any{"command": words[0], "ok": true}
			switch words[0] {
			case "status":
				maps.Copy(reply, s.state())
			case "quit":
				s.killAll()
			default:
				if err := s.obey(words[0], words[1:]); err != nil {
					reply["ok"], reply["error"] = false, err.Error()
				}
			}
			reply["seconds"] = since(began)
			answer(reply)
			if words[0] == "quit" {
				return 0
			}
		}
	}
}

// obey does to one program what the command says, and returns when it is done. `extra` are flags for this one start.
func (s *supervisor) obey(command string, extra []string) error {
	verb, program, _ := strings.Cut(command, "-")
	running, start := s.apiserver, s.startAPIServer
	switch program {
	case "apiserver":
	case "kcm":
		running, start = s.controllerManager, s.startControllerManager
	default:
		verb = ""
	}
	var err error
	switch verb {
	case "start":
		err = start(extra)
	case "stop":
		err = running.stop(s.ctx, stopGrace)
	case "kill":
		running.kill()
	case "restart":
		if err = running.stop(s.ctx, stopGrace); err == nil {
			err = start(extra)
		}
	default:
		return fmt.Errorf("%q is no command; use status, quit, or start, stop, kill or restart with -apiserver or -kcm", command)
	}
	return errors.Join(err, s.writeState())
}

// bringUp makes the directory and starts all three programs, etcd first.
func (s *supervisor) bringUp() error {
	if err := s.prepare(); err != nil {
		return err
	}
	var err error
	if s.etcd, err = spawn(s.dir, etcdName, []string{"--dir=" + s.file("etcd"), "--listen=" + s.etcdPort.address()}); err != nil {
		return err
	}
	if err := s.startAPIServer(nil); err != nil {
		return s.blameEtcd(err)
	}
	if err := s.startControllerManager(nil); err != nil {
		return err
	}
	return s.writeState()
}

// prepare makes all that the programs need before they start: the directory, its lock, ports, keys, configuration.
func (s *supervisor) prepare() error {
	var err error
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(s.file("logs"), 0o700); err != nil {
		return err
	}
	// Two of them on one directory would wait for etcd's own lock without a word.
	lock, err := unix.Open(s.file("lock"), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", s.file("lock"), err)
	}
	if err := unix.Flock(lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%s is in use by another control plane; give --dir another directory", s.dir)
	}
	for _, port := range []*reservedPort{&s.etcdPort, &s.apiserverPort} {
		if *port, err = reservePort(); err != nil {
			return fmt.Errorf("no free port on 127.0.0.1: %w", err)
		}
	}
	if s.services, err = serviceNetwork(s.file("service-network")); err != nil {
		return err
	}
	if err := makeKeys(s.dir, s.services); err != nil {
		return err
	}
	if err := os.WriteFile(s.file("audit-policy.yaml"), []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	for _, user := range []string{"admin", "controller-manager"} {
		if err := writeKubeconfig(s.dir, user, "https://"+s.apiserverPort.address()); err != nil {
			return err
		}
	}
	s.client, err = adminClient(s.dir)
	return err
}

// serviceNetwork gives the network of the Services' addresses, `127.a.b` of a /24, kept in a file as long as the
// directory. All of 127/8 is this machine on Linux: whoever listens on a Service's clusterIP and port is that Service, as
// if there were a kube-proxy. It is drawn by lot, so that two control planes do not hand out the same addresses.
func serviceNetwork(file string) (string, error) {
	if kept, err := os.ReadFile(file); err == nil {
		return string(kept), nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	network := fmt.Sprintf("127.%d.%d", 1+rand.IntN(254), rand.IntN(256))
	return network, os.WriteFile(file, []byte(network), 0o600)
}

func (s *supervisor) startAPIServer(extra []string) error {
	if s.apiserver.alive() {
		return errors.New("kube-apiserver is running already")
	}
	var err error
	if s.apiserver, err = spawn(s.dir, apiserverName, append(s.apiserverFlags(), extra...)); err != nil {
		return err
	}
	return s.await(s.apiserver, "https://"+s.apiserverPort.address()+"/readyz")
}

// startControllerManager has no health endpoint to rely on: kube-controller-manager's answers 200 before a controller
// runs. So the proof is a controller's work: the `default` ServiceAccount of kube-node-lease, which nobody uses, is
// deleted before and has to come back.
func (s *supervisor) startControllerManager(extra []string) error {
	if s.controllerManager.alive() {
		return errors.New("kube-controller-manager is running already")
	}
	if !s.apiserver.alive() {
		return errors.New("kube-controller-manager cannot start while kube-apiserver is down")
	}
	proof := s.defaultAccount("kube-node-lease")
	if err := s.ask(s.ctx, http.MethodDelete, proof, http.StatusOK, http.StatusNotFound); err != nil {
		return err
	}
	var err error
	if s.controllerManager, err = spawn(s.dir, controllerManagerName, append(s.controllerManagerFlags(), extra...)); err != nil {
		return err
	}
	if err := s.await(s.controllerManager, proof); err != nil {
		return err
	}
	// Without it there is no pod in the namespace that every test knows.
	return s.await(s.controllerManager, s.defaultAccount("default"))
}

func (s *supervisor) defaultAccount(namespace string) string {
	return "https://" + s.apiserverPort.address() + "/api/v1/namespaces/" + namespace + "/serviceaccounts/default"
}

// await asks the URL until it answers 200, the child that is to bring this about ends, or the time is over. A child
// that is merely late goes on running: `status` shows it.
func (s *supervisor) await(c *child, url string) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.timeout)
	defer cancel()
	began := time.Now()
	last := errors.New("not asked yet")
	for {
		select {
		case <-c.ended:
			return c.failure()
		case <-ctx.Done():
			if s.ctx.Err() != nil {
				return errors.New("told to end while waiting for " + c.name)
			}
			return fmt.Errorf("%s is not ready after %.0f s: %w", c.name, since(began), last)
		case <-time.After(pollEvery):
			if err := s.ask(ctx, http.MethodGet, url, http.StatusOK); err == nil {
				return nil
			} else if ctx.Err() == nil {
				last = err
			}
		}
	}
}

// ask is nil when the URL answers one of the accepted statuses. The error has the health checks that fail, or what
// kube-apiserver says.
func (s *supervisor) ask(ctx context.Context, method, url string, accepted ...int) error {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if slices.Contains(accepted, response.StatusCode) {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10)) // what came is what we can tell
	said := string(body)
	if strings.Contains(said, "[-]") {
		passes := func(line string) bool { return !strings.HasPrefix(line, "[-]") }
		said = strings.Join(slices.DeleteFunc(strings.Split(said, "\n"), passes), ", ")
	}
	return fmt.Errorf("%s %s answers %s: %s", method, url, response.Status, said)
}

// blameEtcd names etcd where it is the cause of kube-apiserver's failure.
func (s *supervisor) blameEtcd(err error) error {
	if !s.etcd.alive() {
		return s.etcd.failure()
	}
	return err
}

// state is what state.json, the ready line and `status` say. A program that does not run has the pid 0.
func (s *supervisor) state() map[string]any {
	pids := map[string]int{}
	for name, c := range map[string]*child{etcdName: s.etcd, apiserverName: s.apiserver, controllerManagerName: s.controllerManager} {
		pids[name] = 0
		if c.alive() {
			pids[name] = c.cmd.Process.Pid
		}
	}
	state := map[string]any{
		"version":    version.Get().GitVersion,
		"directory":  s.dir,
		"kubeconfig": s.file("admin.kubeconfig"),
		"server":     "https://" + s.apiserverPort.address(),
		"etcd":       "http://" + s.etcdPort.address(),
		"caFile":     s.file("pki/ca.crt"),
		"issuer":     issuer,
		"services":   s.services + ".0/24",
		"pids":       pids,
	}
	if s.audit {
		state["auditLog"] = s.file("audit.log")
	}
	return state
}

// writeState replaces state.json, so that whoever reads it sees one state or the other.
func (s *supervisor) writeState() error {
	text, err := json.MarshalIndent(s.state(), "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.file("state.json.new"), append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(s.file("state.json.new"), s.file("state.json"))
}

// killAll ends the children without ceremony: nobody reads from them any more, and etcd's data stays whole.
func (s *supervisor) killAll() {
	for _, c := range []*child{s.controllerManager, s.apiserver, s.etcd} {
		c.kill()
	}
}

func (s *supervisor) file(name string) string { return filepath.Join(s.dir, name) }

// readLines hands on the lines of the input; `ended` is called when there are no more, which is how a supervisor learns
// that its test is gone.
func readLines(input io.Reader, ended func()) <-chan string {
	// Room for what a test sends ahead, so that the end behind it is seen while a command is still at work.
	lines := make(chan string, 16)
	go func() {
		defer ended()
		for scanner := bufio.NewScanner(input); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}

// answer writes one line of JSON to standard output.
func answer(reply map[string]any) {
	line, err := json.Marshal(reply)
	if err != nil {
		line = fmt.Appendf(nil, `{"ok":false,"error":%q}`, err)
	}
	fmt.Println(string(line))
}

func collect(into *[]string) func(string) error {
	return func(value string) error {
		*into = append(*into, value)
		return nil
	}
}

func since(began time.Time) float64 {
	return float64(time.Since(began).Milliseconds()) / 1000
}
