package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// reservedPort is a free port of 127.0.0.1 that stays ours. The socket is bound with SO_REUSEPORT and never listens: a
// child, told to share the port, gets every connection, and while it is down nobody else can take the port.
type reservedPort int

func reservePort() (reservedPort, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	bound, err := unix.Getsockname(socket)
	if err != nil {
		return 0, err
	}
	// The socket is closed by the end of the process.
	return reservedPort(bound.(*unix.SockaddrInet4).Port), nil
}

func (p reservedPort) number() string  { return strconv.Itoa(int(p)) }
func (p reservedPort) address() string { return net.JoinHostPort("127.0.0.1", p.number()) }

// child is one program of the control plane, a process of this same binary.
type child struct {
	name string
	cmd  *exec.Cmd
	log  string
	// ended is closed when the process is gone; reason says how, and is to be read only after that.
	ended  chan struct{}
	reason string
}

// spawn starts the verb `name` as a child that dies with this process. The caller must be on a thread that lives as
// long as the process does (see start): Linux sends the death signal when the thread that forked ends.
func spawn(dir, name string, flags []string) (*child, error) {
	path := filepath.Join(dir, "logs", name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own copy

	// Not the path of the binary, which a new build may have replaced meanwhile.
	cmd := exec.Command("/proc/self/exe", append([]string{name}, flags...)...)
	cmd.Args[0] = "controlplane"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = withoutProxies(os.Environ())
	// A process group of its own: Ctrl-C at a terminal reaches the supervisor alone, which ends the children.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c := &child{name: name, cmd: cmd, log: path, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // says nothing that ProcessState does not
		c.reason = cmd.ProcessState.String()
		close(c.ended)
	}()
	return c, nil
}

// withoutProxies drops the proxy variables. Go spares loopback addresses, but kube-apiserver calls a webhook behind a
// Service by the Service's name, and that request would go to the proxy.
func withoutProxies(environment []string) []string {
	kept := make([]string, 0, len(environment))
	for _, variable := range environment {
		name, _, _ := strings.Cut(variable, "=")
		switch strings.ToUpper(name) {
		case "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY":
		default:
			kept = append(kept, variable)
		}
	}
	return kept
}

func (c *child) alive() bool {
	if c == nil {
		return false
	}
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// stop asks the child to end, as an operator would, and waits for it; one that takes longer than `grace` is an error,
// and killed, as it is when the whole control plane is told to end.
func (c *child) stop(ctx context.Context, grace time.Duration) error {
	if !c.alive() {
		return nil
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	select {
	case <-c.ended:
		return nil
	case <-ctx.Done():
		c.kill()
		return ctx.Err()
	case <-time.After(grace):
		c.kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM and was killed", c.name, grace)
	}
}

// kill ends the child without its leave and waits until it is gone.
func (c *child) kill() {
	if c.alive() {
		_ = c.cmd.Process.Kill() // fails only for a process that is gone
		<-c.ended
	}
}

// failure tells how the child ended, with the last line of its log.
func (c *child) failure() error {
	last := "nothing"
	if text, err := os.ReadFile(c.log); err == nil {
		if lines := strings.Split(strings.TrimSpace(string(text)), "\n"); lines[len(lines)-1] != "" {
			last = lines[len(lines)-1]
		}
	}
	return fmt.Errorf("%s ended (%s); its log %s ends with: %s", c.name, c.reason, c.log, last)
}
