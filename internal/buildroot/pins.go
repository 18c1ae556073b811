package buildroot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// pinned checks that every pinned repository is in the state that was asked for.
func (d *dnf) pinned() error {
	for _, r := range d.repos {
		got, err := d.repomd(r)
		if err != nil || got == "" || r.RepomdSHA256 == "" {
			if err != nil {
				return err
			}
			continue
		}
		if !strings.EqualFold(got, r.RepomdSHA256) {
			if err := d.forget(r); err != nil {
				return err
			}
			return r.changed(got)
		}
	}
	return nil
}

// changed is the error of a repository that is not in the state that was asked for.
func (r Repo) changed(got string) error {
	return fmt.Errorf("repository %s at %s has changed: its repomd.xml is %s, this build is pinned to %s", r.ID, r.URL, got, r.RepomdSHA256)
}

// repomd is the digest of a repository's cached repomd.xml; "" if it was not fetched.
func (d *dnf) repomd(r Repo) (string, error) {
	root, err := os.OpenRoot(d.cache)
	if err != nil {
		return "", err
	}
	defer root.Close()
	dirs, err := fsGlob(root, r.dnfID()+"-"+strings.Repeat("[0-9a-f]", 16))
	if err != nil || len(dirs) == 0 {
		return "", err
	}
	if len(dirs) > 1 {
		return "", fmt.Errorf("the cache of dnf holds %d states of repository %s", len(dirs), r.ID)
	}
	now := time.Now()
	if err := root.Chtimes(dirs[0], now, now); err != nil { // used: the sweep leaves it
		return "", err
	}
	f, err := openRegular(root, path.Join(dirs[0], "repodata/repomd.xml")) // it is the daemon's, and may be a pipe
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxRepomd)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// forget removes a repository's metadata, so that the next try asks again.
func (d *dnf) forget(r Repo) error {
	root, err := os.OpenRoot(d.cache)
	if err != nil {
		return err
	}
	defer root.Close()
	names, err := fsGlob(root, r.dnfID()+"*")
	for _, name := range names {
		err = errors.Join(err, root.RemoveAll(name))
	}
	return err
}

func fsGlob(root *os.Root, pattern string) ([]string, error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := f.Readdirnames(-1)
	return slices.DeleteFunc(all, func(name string) bool {
		match, merr := path.Match(pattern, name)
		return merr != nil || !match
	}), err
}

func (r Repo) valid() error {
	u, err := url.Parse(r.URL)
	if err != nil || !slices.Contains([]string{"http", "https", "file"}, u.Scheme) || strings.ContainsAny(r.ID+r.URL, "\r\n") || r.ID == "" {
		return fmt.Errorf("repository %q at %q: want a name, and a URL with http, https or file", r.ID, r.URL)
	}
	return nil
}

// dnfID names a repository in dnf's cache: a place and a state of it have one of
// their own, so that two builds pinned to different states do not meet there.
func (r Repo) dnfID() string {
	id := regexp.MustCompile(`[^A-Za-z0-9_.]`).ReplaceAllString(r.ID, "_")
	sum := sha256.Sum256([]byte(r.URL + "\n" + r.RepomdSHA256))
	return id + "." + hex.EncodeToString(sum[:6])
}
