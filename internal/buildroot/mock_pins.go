package buildroot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxRepomd is the most that is read of a repomd.xml.
const maxRepomd = 16 << 20

// pinned checks that the target's own repository is in the state that this build is
// pinned to, before mock starts: what mock's dnf fetches then is what the URL of that
// state has, and nobody could tell afterwards what that was.
func (b *mockBuild) pinned(ctx context.Context) error {
	for _, r := range b.spec.Repos {
		if !r.Own || r.RepomdSHA256 == "" {
			continue // mock's configuration says which others
		}
		got, err := b.repomd(ctx, r)
		if err != nil {
			return fmt.Errorf("repository %s at %s: %w", r.ID, r.URL, err)
		}
		if !strings.EqualFold(got, r.RepomdSHA256) {
			return r.changed(got)
		}
	}
	return nil
}

// repomd is the digest of what a repository's repomd.xml is now. curl fetches it as the
// account that mock's dnf has, for it trusts whom dnf trusts: both leave that to libcurl.
func (b *mockBuild) repomd(ctx context.Context, r Repo) (string, error) {
	name := filepath.Join(b.dir, "repomd.xml")
	out, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	defer out.Close()
	argv := []string{"curl", "--disable", "--silent", "--show-error", "--fail", "--globoff", "--proto", "=http,https,file",
		"--connect-timeout", "30", "--max-time", "60", "--retry", "2", "--max-filesize", fmt.Sprint(maxRepomd)}
	if r.CACert != "" {
		argv = append(argv, "--cacert", b.ca)
	}
	var said bytes.Buffer
	cmd := b.process(append(argv, "--url", strings.TrimSuffix(r.URL, "/")+"/repodata/repomd.xml"), b.dir, out)
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer stop()
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("curl: %w: %s", err, strings.TrimSpace(said.String()))
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(out, maxRepomd)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
