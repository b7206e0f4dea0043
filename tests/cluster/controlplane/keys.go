package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// makeKeys writes every key and certificate of the control plane under `dir`/pki. What a former run left there is kept:
// a control plane that is started again on its directory is the same one to its clients. `services` is the network of
// the Services' addresses, of which `default/kubernetes` has the first.
func makeKeys(dir, services string) error {
	pki := filepath.Join(dir, "pki")
	if err := os.MkdirAll(pki, 0o700); err != nil {
		return err
	}
	// sa.pub is written last, so it stands for the whole set.
	if _, err := os.Stat(filepath.Join(pki, "sa.pub")); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	authority, err := newAuthority(pki)
	if err != nil {
		return err
	}
	if err := authority.issue("apiserver", &x509.Certificate{
		Subject:     pkix.Name{CommonName: apiserverName},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(services + ".1")},
	}); err != nil {
		return err
	}
	for file, subject := range map[string]pkix.Name{
		"admin":              {CommonName: "kubernetes-admin", Organization: []string{"system:masters"}},
		"controller-manager": {CommonName: "system:kube-controller-manager"},
	} {
		if err := authority.issue(file, &x509.Certificate{
			Subject:     subject,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}); err != nil {
			return err
		}
	}
	// RSA, as kubeadm makes it: tokens are signed with RS256, which every verifier knows.
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(pki, "sa.key"), signer); err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return err
	}
	return writePEM(filepath.Join(pki, "sa.pub"), "PUBLIC KEY", public)
}

// certificateAuthority signs every certificate of the control plane: one CA for servers, clients and CSRs.
type certificateAuthority struct {
	dir         string
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(dir string) (*certificateAuthority, error) {
	ca := &certificateAuthority{dir: dir}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "kubernetes"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	return ca, ca.issue("ca", template)
}

// issue makes a key and a certificate from the template, signed by the CA, or by itself if it is to be the CA, and
// writes them as `name`.key and `name`.crt.
func (ca *certificateAuthority) issue(name string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return err
	}
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = template.NotBefore.AddDate(1, 0, 0)
	if ca.certificate == nil {
		ca.certificate, ca.key = template, key
	} else {
		template.KeyUsage = x509.KeyUsageDigitalSignature
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return err
	}
	if template == ca.certificate {
		// The parsed form has the key id which the leaves must name as theirs.
		if ca.certificate, err = x509.ParseCertificate(der); err != nil {
			return err
		}
	}
	if err := writeKey(filepath.Join(ca.dir, name+".key"), key); err != nil {
		return err
	}
	return writePEM(filepath.Join(ca.dir, name+".crt"), "CERTIFICATE", der)
}

func writeKey(path string, key any) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// writeKubeconfig writes `dir`/`user`.kubeconfig for the client certificate of that name. Key and certificates are in
// the file itself, so it can be copied anywhere.
func writeKubeconfig(dir, user, server string) error {
	var encoded [3]string
	for i, name := range []string{"ca.crt", user + ".crt", user + ".key"} {
		data, err := os.ReadFile(filepath.Join(dir, "pki", name))
		if err != nil {
			return err
		}
		encoded[i] = base64.StdEncoding.EncodeToString(data)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: controlplane
  cluster: {server: %q, certificate-authority-data: %s}
users:
- name: %s
  user: {client-certificate-data: %s, client-key-data: %s}
contexts:
- name: controlplane
  context: {cluster: controlplane, user: %s}
current-context: controlplane
`, server, encoded[0], user, encoded[1], encoded[2], user)
	return os.WriteFile(filepath.Join(dir, user+".kubeconfig"), []byte(text), 0o600)
}

// adminClient is an HTTPS client with the administrator's certificate, for the questions the supervisor asks itself.
func adminClient(dir string) (*http.Client, error) {
	pki := filepath.Join(dir, "pki")
	certificate, err := tls.LoadX509KeyPair(filepath.Join(pki, "admin.crt"), filepath.Join(pki, "admin.key"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots.AppendCertsFromPEM(ca)
	return &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots},
			// A connection of a server that was stopped must not be tried for the next one.
			DisableKeepAlives: true,
		},
	}, nil
}
