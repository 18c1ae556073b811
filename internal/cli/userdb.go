package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"plague"
	"plague/internal/store"
)

// importedSuffix is what a users' file of 2005 gets behind its name when the
// farm's database takes its place.
const importedSuffix = ".imported"

// openUserDB opens the farm's database by the name that 2005 had for it. A
// users' file of 2005 under that name is put aside and taken over, once.
func openUserDB(ctx context.Context, name string, o store.Options) (*store.DB, error) {
	if strings.Contains(name, "://") {
		return store.Open(ctx, name, o)
	}
	if err := putAside(name); err != nil {
		return nil, err
	}
	_, missing := os.Stat(name)
	db, err := store.Open(ctx, name, o)
	if err != nil {
		return nil, err
	}
	if errors.Is(missing, fs.ErrNotExist) {
		err = handOver(name)
	}
	if err == nil {
		err = takeOver(ctx, db, name+importedSuffix)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// putAside renames a users' file of 2005.
func putAside(name string) error {
	old, err := isUsersFile(name)
	if err != nil || !old {
		return err
	}
	if _, err := os.Lstat(name + importedSuffix); !errors.Is(err, fs.ErrNotExist) {
		return plague.Refuse(plague.ErrConflict, fmt.Sprintf("%s is a users' file of 2005, and %s%s is there already", name, name, importedSuffix), "remove the one that is not wanted")
	}
	return os.Rename(name, name+importedSuffix)
}

// takeOver imports the users' file that was put aside; the database knows which
// files it had. After a crash in between the next time is as good.
func takeOver(ctx context.Context, db *store.DB, aside string) error {
	if _, err := os.Stat(aside); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := db.ImportUsers(ctx, time.Now(), aside); err != nil {
		return fmt.Errorf("take over the users of %s: %w", aside, err)
	}
	return nil
}

// isUsersFile says whether a file is a SQLite database whose only table is the
// users of 2005. Its one table stands on the first page, whatever else it has.
func isUsersFile(name string) (bool, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	const (
		largestPage = 64 << 10
		kindOffset  = 100 // of the first page's header, behind the file's
		leaf        = 0x0d
	)
	page, err := io.ReadAll(io.LimitReader(f, largestPage))
	if err != nil || len(page) <= kindOffset || !bytes.HasPrefix(page, []byte("SQLite format 3\x00")) {
		return false, err
	}
	size := int(page[16])<<8 | int(page[17]) // 1 stands for 65536
	if size > 1 && size < len(page) {
		page = page[:size]
	}
	text := bytes.ToLower(page)
	return page[kindOffset] == leaf && bytes.Contains(text, []byte("create table users")) && !bytes.Contains(text, []byte("goose")), nil
}

// handOver gives a database that root has made to the server's account: the
// folder's owner, or the account whose group the folder belongs to.
func handOver(name string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(name))
	if err != nil {
		return err
	}
	folder, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	uid, gid := int(folder.Uid), int(folder.Gid)
	if account, err := user.Lookup("plague-server"); uid == 0 && err == nil && account.Gid == strconv.Itoa(gid) {
		if uid, err = strconv.Atoi(account.Uid); err != nil {
			return err
		}
	}
	if uid == 0 {
		return nil
	}
	for _, part := range []string{"", "-wal", "-shm", ".lock"} {
		if err := os.Lchown(name+part, uid, gid); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("give %s to the server's account: %w", name+part, err)
		}
	}
	return nil
}
