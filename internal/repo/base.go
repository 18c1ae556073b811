package repo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"plague"
)

// fetchTimeout bounds the reading of one small file; beyond it a mirror hangs.
const fetchTimeout = time.Minute

// FetchRepomd reads the repomd.xml of a base repository, given by the URL (http,
// https or file) of the folder that holds repodata, and returns its SHA-256 in
// hexadecimal digits: the pin of that repository. An answer that is no repomd.xml,
// such as the page of a captive portal, is an error. A URL that cannot be one is
// plague.ErrInvalid; what cannot be had now is plague.ErrUnavailable.
func FetchRepomd(ctx context.Context, client *http.Client, baseURL string) (digest string, err error) {
	u, err := url.Parse(baseURL)
	if err != nil {
		var wrong *url.Error // its own text shows the URL, which may have a password
		errors.As(err, &wrong)
		return "", fmt.Errorf("%w: the URL of a base repository: %w", plague.ErrInvalid, wrong.Err)
	}
	u = u.JoinPath(repodataDir, repomdFile)
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	var text []byte
	switch u.Scheme {
	case "http", "https":
		text, err = fetch(ctx, client, u)
	case "file":
		text, err = readURL(u)
	default:
		return "", plague.Refuse(plague.ErrInvalid, fmt.Sprintf("base repository %s: its scheme is not http, https or file", u.Redacted()), "write the whole URL")
	}
	if err == nil {
		_, err = parseRepomd(text)
	}
	if err != nil {
		return "", fmt.Errorf("%w: base repository %s: %w", plague.ErrUnavailable, u.Redacted(), err)
	}
	return digestOf(text), nil
}

func fetch(ctx context.Context, client *http.Client, u *url.URL) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Cache-Control", "no-cache") // a proxy's old answer would pin an old state
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", resp.Status)
	}
	return readLimited(resp.Body, maxRepomd)
}

func readURL(u *url.URL) ([]byte, error) {
	if u.Host != "" && u.Host != "localhost" {
		return nil, fmt.Errorf("a file: URL names the host %q; write file:///path", u.Host)
	}
	f, err := os.OpenFile(u.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", u.Path)
	}
	return readLimited(f, maxRepomd)
}

// DotRepo is the text of a .repo file for dnf: the build repository of a target
// for an arch, which may be dnf's own $basearch. baseURL is the public web's
// address without a slash at its end, caPath the file with the CA of its
// certificate, or "" where the machine trusts it already. Through the mirrorlist
// dnf reads one whole snapshot, whatever is published meanwhile.
func DotRepo(target, arch, baseURL, caPath string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "[%s]\nname=%s for %s, unsigned builds\n", target, target, arch)
	fmt.Fprintf(&s, "mirrorlist=%s/%s/%s/%s/mirrorlist\n", strings.TrimRight(baseURL, "/"), reposDir, target, arch)
	s.WriteString("enabled=1\ngpgcheck=0\nrepo_gpgcheck=0\n")
	s.WriteString("# a new build is seen after a minute\nmetadata_expire=60\n")
	if caPath != "" {
		fmt.Fprintf(&s, "sslverify=1\nsslcacert=%s\n", caPath)
	}
	return s.String()
}
