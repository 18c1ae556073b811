package source

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"plague"
)

// lookaside brings what the tree's file sources lists, each next to it.
func (f *fetch) lookaside(ctx context.Context) error {
	if f.plan.cfg.Layout == Plain {
		return nil
	}
	list, err := f.listed()
	if err != nil || len(list) == 0 {
		return err
	}
	if f.plan.cfg.Lookaside == "" {
		if f.plan.cfg.Layout == Make {
			return nil // the Makefile may have other means
		}
		return plague.Refuse(plague.ErrInvalid, "the package lists sources, and the target has no lookaside", "ask the administrator to name one, or put the files into the tree")
	}
	for _, l := range list {
		if err := f.bring(ctx, l); err != nil {
			return fmt.Errorf("source %s: %w", l.name, err)
		}
	}
	return nil
}

// listed reads the file sources.
func (f *fetch) listed() ([]listed, error) {
	file, size, _, err := openRegular(f.tree.root, path.Join(f.plan.dir(), "sources"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, min(size, maxSources+1)))
	if err != nil {
		return nil, err
	}
	return parseSources(string(data))
}

// bring finds a file in one of its places and takes it into the tree, if it is
// what the list says.
func (f *fetch) bring(ctx context.Context, l listed) error {
	open := f.download
	if path.IsAbs(f.plan.cfg.Lookaside) {
		open = f.lookInFolder
	}
	for _, place := range l.places(f.plan.Package) {
		file, size, err := open(ctx, place)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		defer file.Close()
		sum := newHash(l.method)
		if err := f.tree.file(path.Join(f.plan.dir(), l.name), false, size, io.TeeReader(file, sum)); err != nil {
			return err
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != l.digest {
			return refuse("the lookaside's file has the "+l.method+" %q, not the one that is listed", got, "upload the file again, and correct sources")
		}
		return nil
	}
	return plague.Refuse(plague.ErrNotFound, "the lookaside does not have it", "upload it")
}

func (f *fetch) lookInFolder(_ context.Context, place string) (*os.File, int64, error) {
	root, err := os.OpenRoot(f.plan.cfg.Lookaside)
	if err != nil {
		return nil, 0, fmt.Errorf("lookaside: %v", err) // that it is not there is not the file's fault
	}
	defer root.Close()
	file, size, _, err := openRegular(root, place)
	return file, size, err
}

// tries is how often a broken download goes on where it broke.
const tries = 4

// download has curl fetch a file: what speaks with a server does not run as us.
func (f *fetch) download(ctx context.Context, place string) (*os.File, int64, error) {
	name := filepath.Join(f.scm, "download")
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, err
	}
	url := f.plan.lookasideURL(place)
	for n := 1; ; n++ {
		err := f.curl(ctx, name, url)
		if err == nil {
			break
		}
		if n == tries || !transient(err) {
			return nil, 0, err
		}
	}
	root, err := os.OpenRoot(f.scm)
	if err != nil {
		return nil, 0, err
	}
	defer root.Close()
	file, size, _, err := openRegular(root, "download")
	return file, size, err
}

func (f *fetch) curl(ctx context.Context, name, url string) error {
	var status string
	c := call{args: []string{"curl", "--disable", "--silent", "--show-error", "--globoff", "--proto", "=http,https", "--max-redirs", "0",
		"--connect-timeout", "30", "--speed-limit", "1000", "--speed-time", "60", "--max-filesize", strconv.FormatInt(f.plan.cfg.Limits.Bytes, 10),
		"--continue-at", "-", "--fail", "--output", name, "--write-out", "%{http_code}", "--url", url},
		out: text(&status, 1000)}
	err := f.run(ctx, c)
	switch status {
	case "200", "206":
		return err
	case "404":
		return fs.ErrNotExist
	case "000":
		return err
	}
	if err == nil || strings.HasPrefix(status, "4") {
		err = fmt.Errorf("the lookaside answers %s at %s", status, url)
	}
	return err
}

// transient says whether it is worth to go on: curl's codes for a server that
// cannot be reached, has stopped or has hung up.
func transient(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && slices.Contains([]int{6, 7, 18, 28, 52, 55, 56}, exit.ExitCode())
}
