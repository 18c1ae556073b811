package source

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"plague"
)

// A tree is the folder that a package's files are written to, by this process and
// not by what fetched them. Nothing that it is given can leave the folder, replace
// what is there, or be more than the limits say.
type tree struct {
	root  *os.Root
	bytes int64 // that may still come
	files int
	sums  []string // one line for each name, for the digest of all
	links []string
}

func newTree(dir string, l Limits) (*tree, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &tree{root: root, bytes: l.Bytes, files: l.Files}, nil
}

// maxName and maxPath are what rpm, tar and the kernel can do with.
const maxName, maxPath = 255, 1000

// admit checks a name and counts it, and makes its folder.
func (t *tree) admit(name string, size int64) error {
	if err := checkName(name); err != nil {
		return err
	}
	t.files--
	t.bytes -= size
	if t.files < 0 || t.bytes < 0 {
		return plague.Refuse(plague.ErrInvalid, "the package's tree is larger than is allowed", "put large files into the lookaside, or ask the administrator for other limits")
	}
	if err := t.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return refuse("the folder of %q is no folder", name, "let each name be one thing only")
	}
	return nil
}

func checkName(name string) error {
	bad := !fs.ValidPath(name) || name == "." || len(name) > maxPath
	for part := range strings.SplitSeq(name, "/") {
		switch strings.ToLower(part) {
		case ".git", ".svn":
			bad = true
		}
		bad = bad || len(part) > maxName
	}
	if bad || strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) >= 0 {
		return refuse("a file of the package is called %q", name, "rename it: no control characters, no backslash, no .git, no name of more than 255 bytes")
	}
	return nil
}

// file writes a new file of size bytes, which r must hold.
func (t *tree) file(name string, executable bool, size int64, r io.Reader) error {
	if err := t.admit(name, size); err != nil {
		return err
	}
	perm := fs.FileMode(0o644)
	if executable {
		perm = 0o755
	}
	f, err := t.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if errors.Is(err, fs.ErrExist) {
		return refuse("%q is in the package twice", name, "let each name be one thing only; what the lookaside has need not be in the tree")
	}
	if err != nil {
		return err
	}
	if err := f.Chmod(perm); err != nil { // whatever the umask: source packages keep it
		return errors.Join(err, f.Close())
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(r, size))
	if err == nil && n < size {
		err = fmt.Errorf("%s: %w", name, io.ErrUnexpectedEOF)
	}
	t.sums = append(t.sums, fmt.Sprintf("%q %o %x", name, perm, sum.Sum(nil)))
	return errors.Join(err, f.Close())
}

// link makes a symbolic link, whose target is judged when all is there.
func (t *tree) link(name, target string) error {
	if err := t.admit(name, int64(len(target))); err != nil {
		return err
	}
	inside := path.Join(path.Dir(name), target)
	if path.IsAbs(target) || target == "" || len(target) > maxPath || !fs.ValidPath(inside) {
		return badLink(name)
	}
	if err := t.root.Symlink(target, name); err != nil {
		return refuse("%q is in the package twice", name, "let each name be one thing only")
	}
	t.links = append(t.links, name)
	t.sums = append(t.sums, fmt.Sprintf("%q -> %q", name, target))
	return nil
}

func badLink(name string) error {
	return refuse("the symbolic link %q leads out of the package", name, "replace it by what it leads to")
}

// finish follows every link: one that leaves the tree over another one shows only
// now. A link to nothing may stand.
func (t *tree) finish() error {
	for _, name := range t.links {
		if _, err := t.root.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return badLink(name)
		}
	}
	return nil
}

// digest names all that the tree holds, whatever the order in which it came.
func (t *tree) digest() string {
	slices.Sort(t.sums)
	sum := sha256.Sum256([]byte(strings.Join(t.sums, "\n")))
	return hex.EncodeToString(sum[:])
}

// copyFrom takes over a folder that a foreign program has written, less the
// folders called skip.
func (t *tree) copyFrom(from *os.Root, prefix, skip string) error {
	return fs.WalkDir(from.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && skip != "" && e.Name() == skip:
			return fs.SkipDir
		case e.IsDir():
			return nil
		case e.Type()&fs.ModeSymlink != 0:
			target, err := from.Readlink(name)
			if err != nil {
				return err
			}
			return t.link(path.Join(prefix, name), target)
		}
		f, size, executable, err := openRegular(from, name)
		if err != nil {
			return err
		}
		defer f.Close()
		return t.file(path.Join(prefix, name), executable, size, f)
	})
}

// openRegular opens a file that others may have put there: links lead nowhere
// outside, no pipe is waited for, no device read.
func openRegular(root *os.Root, name string) (f *os.File, size int64, executable bool, err error) {
	f, err = root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, false, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = refuse("%q is neither file nor folder nor link", name, "take it out of the package")
	}
	if err != nil {
		f.Close()
		return nil, 0, false, err
	}
	return f, info.Size(), info.Mode()&0o100 != 0, nil
}
