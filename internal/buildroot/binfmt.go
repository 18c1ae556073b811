package buildroot

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// binfmt is one entry of the kernel's table.
type binfmt struct {
	name        string
	enabled     bool
	interpreter string
	flags       string // F: it was opened when it was registered, and so is there in every root folder
	offset      int
	magic, mask []byte // mask: empty for all bits
}

// binfmts lists the entries that are for files that begin like this.
func binfmts(dir string, header []byte) ([]binfmt, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []binfmt
	for _, file := range files {
		if file.Name() == "register" || file.Name() == "status" {
			continue
		}
		b, err := readBinfmt(filepath.Join(dir, file.Name()))
		if errors.Is(err, fs.ErrNotExist) { // it has just been removed
			continue
		}
		if err != nil {
			return nil, err
		}
		if b.takes(header) {
			all = append(all, b)
		}
	}
	return all, nil
}

// takes says whether the entry is for files that begin like this.
func (b binfmt) takes(header []byte) bool {
	if !b.enabled || len(b.magic) == 0 || b.offset < 0 || b.offset+len(b.magic) > len(header) {
		return false
	}
	for i, want := range b.magic {
		mask := byte(0xff)
		if i < len(b.mask) {
			mask = b.mask[i]
		}
		if (header[b.offset+i]^want)&mask != 0 {
			return false
		}
	}
	return true
}

// readBinfmt reads an entry as the kernel shows it (its binfmt-misc.rst).
func readBinfmt(file string) (b binfmt, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return binfmt{}, err
	}
	b.name = filepath.Base(file)
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), " ")
		switch key {
		case "enabled":
			b.enabled = true
		case "interpreter":
			b.interpreter = value
		case "flags:":
			b.flags = value
		case "offset":
			_, err = fmt.Sscan(value, &b.offset)
		case "magic":
			b.magic, err = hex.DecodeString(value)
		case "mask":
			b.mask, err = hex.DecodeString(value)
		}
		if err != nil {
			return binfmt{}, fmt.Errorf("%s: %q: %w", file, s.Text(), err)
		}
	}
	return b, nil
}
