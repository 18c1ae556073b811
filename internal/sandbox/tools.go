package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// HostTools makes the folder dir, a layer that together with the binds shows the
// programs of this machine (/usr) and nothing else of it: no accounts, no keys,
// no /home, no /var.
func HostTools(dir string) ([]Bind, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the layer of tools: %w", err)
	}
	for _, d := range []string{"etc", "tmp", "root", "mnt", "usr", "var/tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, fmt.Errorf("make the layer of tools: %w", err)
		}
	}
	for _, d := range []string{"tmp", "var/tmp"} {
		if err := os.Chmod(filepath.Join(dir, d), 0o777|fs.ModeSticky); err != nil {
			return nil, fmt.Errorf("make the layer of tools: %w", err)
		}
	}
	const passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
	if err := os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte(passwd), 0o644); err != nil {
		return nil, fmt.Errorf("make the layer of tools: %w", err)
	}
	binds := []Bind{{Source: "/usr", Target: "/usr", ReadOnly: true}}
	for _, name := range []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"} {
		link, err := os.Readlink("/" + name)
		switch {
		case err == nil: // merged into /usr, as everywhere today
			if err := os.Symlink(link, filepath.Join(dir, name)); err != nil {
				return nil, fmt.Errorf("make the layer of tools: %w", err)
			}
		case !errors.Is(err, fs.ErrNotExist):
			binds = append(binds, Bind{Source: "/" + name, Target: "/" + name, ReadOnly: true})
		}
	}
	for _, name := range []string{"/etc/ld.so.cache", "/etc/alternatives", "/etc/rpm", "/etc/crypto-policies"} {
		if _, err := os.Stat(name); err == nil {
			binds = append(binds, Bind{Source: name, Target: name, ReadOnly: true})
		}
	}
	return binds, nil
}
