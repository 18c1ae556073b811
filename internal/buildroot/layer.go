package buildroot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A layer is a finished part of a buildroot in the cache: CACHE/layers/KEY/root.
// It never changes. Who builds on it holds its lock, shared; who makes or removes
// it holds the lock alone, over all processes of this machine.
type layer struct {
	dir  string
	lock *os.File
}

func (l layer) root() string { return filepath.Join(l.dir, "root") }

// release ends the use of the layer.
func (l layer) release() { l.lock.Close() }

// layerKey names a layer by all that its content follows from; the first word
// changes when this room makes layers in another way.
func layerKey(parts ...string) string {
	sum := sha256.Sum256([]byte("2\n" + strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:16])
}

// layer gives the layer with this key, made first if it is absent. It is made in
// a folder of its own and is there when that gets its name.
func (n *Native) layer(ctx context.Context, key string, make func(dir string) error) (l layer, made bool, err error) {
	layers := filepath.Join(n.Cache, "layers")
	if err := os.MkdirAll(layers, 0o700); err != nil { // its set-user-id programs are not for the users of this machine
		return layer{}, false, err
	}
	l = layer{dir: filepath.Join(layers, key)}
	for {
		if l.lock, err = lock(ctx, l.dir+".lock", unix.LOCK_SH); err != nil {
			return layer{}, false, err
		}
		now := time.Now()
		if err = os.Chtimes(l.dir, now, now); err == nil { // used: others are removed before it
			return l, made, nil
		}
		l.release()
		if !errors.Is(err, fs.ErrNotExist) {
			return layer{}, false, err
		}
		if err = n.makeLayer(ctx, l.dir, make); err != nil {
			return layer{}, false, err
		}
		made = true
	}
}

func (n *Native) makeLayer(ctx context.Context, dir string, make func(dir string) error) error {
	l, err := lock(ctx, dir+".lock", unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := os.Stat(dir); err == nil {
		return nil // another build was faster
	}
	fresh := filepath.Join(filepath.Dir(dir), ".new-"+filepath.Base(dir))
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	if err := make(fresh); err != nil {
		return err
	}
	if err := settle(fresh); err != nil {
		return fmt.Errorf("write a layer to the disk: %w", err)
	}
	if err := os.Rename(fresh, dir); err != nil {
		return err
	}
	return n.trim()
}

// settle brings a folder's file system to the disk: layers are unpacked without
// a single fsync.
func settle(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// trim removes the layers that were not used for longest, above the number that
// is kept, unless a build stands on them.
func (n *Native) trim() error {
	max := n.Layers
	if max == 0 {
		max = 16
	}
	type old struct {
		dir  string
		used time.Time
	}
	var all []old
	dirs, err := filepath.Glob(filepath.Join(n.Cache, "layers", "[0-9a-f]*[0-9a-f]"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			all = append(all, old{dir, info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b old) int { return a.used.Compare(b.used) })
	for _, o := range all[:len(all)-min(max, len(all))] {
		if err := removeLayer(o.dir); err != nil {
			return err
		}
	}
	return nil
}

func removeLayer(dir string) error {
	l, err := tryLock(dir+".lock", unix.LOCK_EX)
	if err != nil || l == nil {
		return err // in use
	}
	defer l.Close()
	// first the name, so that half a layer is never taken for one
	gone := filepath.Join(filepath.Dir(dir), ".new-"+filepath.Base(dir))
	err = os.Rename(dir, gone)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // not there: another process was faster, and the lock is ours anew
		return err
	}
	if err := os.RemoveAll(gone); err != nil {
		return err
	}
	return os.Remove(dir + ".lock") // the last: who holds it may make a folder of that name
}

// lock waits for a lock file. Its owner's death frees it.
func lock(ctx context.Context, name string, how int) (*os.File, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		f, err := tryLock(name, how)
		if f != nil || err != nil {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// tryLock gives nil if somebody else has the lock, or removed the file meanwhile.
func tryLock(name string, how int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if err == nil {
		mine, err1 := f.Stat()
		there, err2 := os.Stat(name)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			return f, nil
		}
	}
	f.Close()
	if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return nil, nil
}
