// Package repo publishes: it keeps, below server_work_dir, the repositories that
// dnf and the buildroots read, as plain files that any web server, NFS or rsync
// can hand on. Nothing in them is secret.
//
//	repos/<target>/<arch>/
//	├── Packages/<uid>/<file>.rpm   hard links into the artifact store; a path never changes content
//	├── @<n>/repodata/…             snapshot n: immutable, whole or not there
//	├── @<n>/SHA256SUMS             what it holds, for `sha256sum -c` and for us
//	├── @<n>/Packages → ../Packages so that the snapshot is a repository by itself, by URL and on disk
//	└── repodata/…                  the stable address: a growing union with the newest repomd.xml
//
// The order of a publication is Build, the caller's transaction, Point. The number
// of a snapshot is the revision in its repomd.xml, so the one rename that moves
// the stable address moves what Current says too.
package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"plague"
	"plague/internal/durable"
)

const (
	reposDir    = "repos"
	packagesDir = "Packages"
	repodataDir = "repodata"
	repomdFile  = "repomd.xml"
	sumsFile    = "SHA256SUMS"
	retiredFile = ".retired"
)

// Tree is all repositories of a farm. Its methods may be called from many
// goroutines and from several servers over one disk: a target is changed by one
// of them at a time.
type Tree struct {
	files *durable.Dir
	meta  Metadata
	log   *slog.Logger
	fence func(context.Context) error // nil: nobody else can have taken over
}

// Open uses the tree below server_work_dir, and m to make repodata. The caller
// closes files when the tree is no longer used.
func Open(files *durable.Dir, m Metadata, log *slog.Logger) (*Tree, error) {
	if err := files.MkdirAll(reposDir, 0o755); err != nil {
		return nil, fmt.Errorf("open repositories: %w", err)
	}
	return &Tree{files: files, meta: m, log: log}, nil
}

// WithFence returns the same tree with check asked whenever a change of a target
// begins, while no other server can change that target. A leader whose term is
// over answers with an error and so cannot replace what its successor made.
func (t *Tree) WithFence(check func(context.Context) error) *Tree {
	fenced := *t
	fenced.fence = check
	return &fenced
}

// lockWait is longer than a publication may last (makeTimeout, for each of a few
// arches); lockPoll is how soon a target that became free is noticed.
const (
	lockWait = 30 * time.Minute
	lockPoll = 10 * time.Millisecond
)

// lock makes the caller the only one that changes a target, here and in other
// processes, until it calls unlock or dies.
func (t *Tree) lock(ctx context.Context, target string) (unlock func(), err error) {
	if err := checkElement("target", target); err != nil {
		return nil, err
	}
	dir := path.Join(reposDir, target)
	if err := t.files.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := t.files.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := t.claim(ctx, f, target); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// Alone calls do while no other process is within Alone on the same disk, and
// only if the fence allows it: for deletions that are not a target's.
func (t *Tree) Alone(ctx context.Context, do func() error) error {
	f, err := t.files.Open(reposDir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := t.claim(ctx, f, reposDir); err != nil {
		return err
	}
	return do()
}

func (t *Tree) claim(ctx context.Context, f *os.File, what string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, lockWait, plague.Refuse(plague.ErrUnavailable,
		"repository "+what+" is being changed by somebody else", "look for a server that hangs on the same server_work_dir"))
	defer cancel()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("lock repository %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lockPoll):
		}
	}
	if t.fence == nil {
		return nil
	}
	return t.fence(ctx)
}

// branch is the repository of one target for one arch.
type branch struct {
	files *durable.Dir
	dir   string // below files
}

func (t *Tree) branch(target, arch string) (branch, error) {
	if err := errors.Join(checkElement("target", target), checkElement("arch", arch)); err != nil {
		return branch{}, err
	}
	return branch{t.files, path.Join(reposDir, target, arch)}, nil
}

// branches lists the arches that a target has on disk.
func (t *Tree) branches(target string) ([]branch, error) {
	entries, err := t.files.ReadDir(path.Join(reposDir, target))
	if err != nil {
		return nil, err
	}
	var bs []branch
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			bs = append(bs, branch{t.files, path.Join(reposDir, target, e.Name())})
		}
	}
	return bs, nil
}

func (b branch) path(elem ...string) string { return path.Join(b.dir, path.Join(elem...)) }

func (b branch) snapshot(n int64) string { return b.path("@" + strconv.FormatInt(n, 10)) }

// snapshots lists the numbers of the snapshots that are there, in no order.
func (b branch) snapshots() ([]int64, error) {
	entries, err := b.files.ReadDir(b.dir)
	if err != nil {
		return nil, err
	}
	var ns []int64
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), "@")
		if n, err := strconv.ParseInt(digits, 10, 64); ok && err == nil {
			ns = append(ns, n)
		}
	}
	return ns, nil
}

// current is the snapshot that the stable address shows; 0 before the first.
func (b branch) current() (int64, error) {
	md, _, err := readRepomd(b.files, b.path(repodataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return md.number()
}

// Current is the number of the snapshot that the stable address shows, 0 before
// the first.
func (t *Tree) Current(target, arch string) (int64, error) {
	b, err := t.branch(target, arch)
	if err != nil {
		return 0, err
	}
	n, err := b.current()
	if err != nil {
		return 0, fmt.Errorf("what %s shows for %s: %w", target, arch, err)
	}
	return n, nil
}

// Repomd is the SHA-256 of snapshot n's repomd.xml in hexadecimal digits: with it
// a builder knows that what it reads is the snapshot that its run is pinned to.
// A snapshot that is not there is plague.ErrNotFound.
func (t *Tree) Repomd(target, arch string, n int64) (string, error) {
	b, err := t.branch(target, arch)
	if err != nil {
		return "", err
	}
	text, err := repomdText(b.files, path.Join(b.snapshot(n), repodataDir))
	if err != nil {
		return "", fmt.Errorf("pin %s for %s: %w", target, arch, notOnDisk(n, err))
	}
	return digestOf(text), nil
}

// repomd reads the repomd.xml of a snapshot.
func (b branch) repomd(n int64) (*repomd, []byte, error) {
	md, text, err := readRepomd(b.files, path.Join(b.snapshot(n), repodataDir))
	return md, text, notOnDisk(n, err)
}

// notOnDisk names a snapshot whose repomd.xml is not there.
func notOnDisk(n int64, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return plague.Refuse(plague.ErrNotFound, fmt.Sprintf("snapshot %d is not on the disk", n), "build it again")
	}
	return err
}

// checkElement refuses a name that would be more, or other, than one plain folder.
func checkElement(what, name string) error {
	if name == "" || strings.Trim(name, ".") == "" || strings.ContainsAny(name[:1], ".-@") || strings.ContainsAny(name, "/\\\x00\n\r ") {
		return fmt.Errorf("%w: %.80q is no name for a folder of a repository (%s)", plague.ErrInvalid, name, what)
	}
	return nil
}
