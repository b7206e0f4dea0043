// Command vault-k8s-floor serves the handler of HashiCorp's vault-k8s for benches/run.sh, over TLS as its own command does, with the
// defaults of its chart. Its command line itself starts only inside a cluster.
//
// It is built within a checkout of github.com/hashicorp/vault-k8s (benches/run.sh --vault-k8s DIR), with the versions that its go.mod names.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	agentInject "github.com/hashicorp/vault-k8s/agent-inject"
	"github.com/hashicorp/vault-k8s/agent-inject/agent"
)

func main() {
	certificate, err := selfSigned()
	if err != nil {
		log.Fatalf("no certificate: %v", err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		log.Fatalf("cannot listen: %v", err)
	}
	handler := agentInject.Handler{
		RequireAnnotation:  true,
		VaultAddress:       "https://vault.vault.svc.cluster.local:8200",
		VaultAuthType:      agent.DefaultVaultAuthType,
		VaultAuthPath:      agent.DefaultVaultAuthPath,
		ImageVault:         agent.DefaultVaultImage,
		UserID:             fmt.Sprint(agent.DefaultAgentRunAsUser),
		GroupID:            fmt.Sprint(agent.DefaultAgentRunAsGroup),
		SetSecurityContext: agent.DefaultAgentSetSecurityContext,
		DefaultTemplate:    agent.DefaultTemplateType,
		ResourceRequestCPU: agent.DefaultResourceRequestCPU,
		ResourceRequestMem: agent.DefaultResourceRequestMem,
		ResourceLimitCPU:   agent.DefaultResourceLimitCPU,
		ResourceLimitMem:   agent.DefaultResourceLimitMem,
		ExitOnRetryFailure: agent.DefaultTemplateConfigExitOnRetryFailure,
		Log:                hclog.New(&hclog.LoggerOptions{Name: "handler", Level: hclog.Info, Output: os.Stderr}),
	}
	routes := http.NewServeMux()
	routes.HandleFunc("/mutate", handler.Handle)
	fmt.Printf("listening on https://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, routes))
}

// selfSigned makes the certificate that every server of the benches has: ECDSA P-256.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "vault-k8s"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
