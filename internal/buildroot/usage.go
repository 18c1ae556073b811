package buildroot

import (
	"io/fs"
	"path/filepath"
	"syscall"
)

// diskUsage is what the files below a folder take on its disk, as far as they can be
// seen. Nothing may change there any more. Links are not followed, and a file with two
// names in it counts once.
func diskUsage(dir string) (bytes int64) {
	type inode struct{ dev, ino uint64 }
	seen := map[inode]bool{}
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // the rest counts
		}
		info, err := e.Info()
		if err != nil {
			return nil
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return nil
		}
		if st.Nlink > 1 && !e.IsDir() {
			id := inode{uint64(st.Dev), st.Ino}
			if seen[id] {
				return nil
			}
			seen[id] = true
		}
		bytes += st.Blocks * 512 // whatever the file system's own size is: stat(2)
		return nil
	})
	return bytes
}
