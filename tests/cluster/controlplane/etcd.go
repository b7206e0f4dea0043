package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

const etcdName = "etcd"

// runEtcd serves a one-member etcd from `--dir` at `--listen`, until SIGTERM.
//
// It never calls fsync: what it wrote outlives a killed process, not a power cut, and a test only ever kills processes.
func runEtcd(args []string) int {
	flags := flag.NewFlagSet(etcdName, flag.ExitOnError)
	dir := flags.String("dir", "", "where the data lives; made when missing")
	listen := flags.String("listen", "", "address for clients, such as 127.0.0.1:2379")
	_ = flags.Parse(args) // ExitOnError: it never returns one

	cfg := embed.NewConfig()
	cfg.Dir = *dir
	cfg.UnsafeNoFsync = true
	cfg.LogLevel = "warn"
	cfg.LogOutputs = []string{"stderr"}
	// The parent holds the port (see reservePort), so sharing it must be allowed.
	cfg.SocketOpts.ReusePort = true
	client := url.URL{Scheme: "http", Host: *listen}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	// There are no peers: any free port will do, and nobody needs to know it.
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)

	server, err := embed.StartEtcd(cfg)
	if err != nil {
		fmt.Fprintf(os.Stderr, "etcd: cannot start in %s at %s: %v\n", *dir, *listen, err)
		return 1
	}
	defer server.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	select {
	case <-stop:
		return 0
	case err := <-server.Err():
		fmt.Fprintf(os.Stderr, "etcd: %v\n", err)
		return 1
	}
}
