package source

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"plague/internal/sandbox"
)

// home makes the home folder of the slot's user.
func (m Maker) home() (*os.Root, error) {
	dir := filepath.Join(m.Work, "home")
	if err := os.MkdirAll(filepath.Join(dir, outFolder), 0o755); err != nil {
		return nil, err
	}
	return os.OpenRoot(dir)
}

// give makes the slot's user the owner of all that is in a folder.
func (m Maker) give(root *os.Root) error {
	return fs.WalkDir(root.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(name, m.UID, m.GID)
	})
}

// accounts gives the slot's user a name inside, without which rpmbuild takes no
// files of his, and the host name an address.
func (m Maker) accounts() ([]sandbox.Bind, error) {
	texts := map[string]string{
		"passwd": fmt.Sprintf("root:x:0:0::/root:/bin/sh\nbuild:x:%d:%d::%s:/bin/sh\n", m.UID, m.GID, homeInside),
		"group":  fmt.Sprintf("root:x:0:\nbuild:x:%d:\n", m.GID),
		"hosts":  "127.0.0.1 localhost builder\n::1 localhost builder\n",
	}
	var binds []sandbox.Bind
	for name, text := range texts {
		file := filepath.Join(m.Work, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
		binds = append(binds, sandbox.Bind{Source: file, Target: "/etc/" + name, ReadOnly: true})
	}
	return binds, nil
}
