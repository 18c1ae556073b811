package web

import (
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// tree serves the result tree and the repositories: plain files with ranges
// and right types, and pages for folders. Every name goes through os.Root.
func (s *site) tree(w http.ResponseWriter, r *http.Request) error {
	name := path.Clean("/" + r.PathValue("path"))[1:]
	if name == "" || hidden(name) {
		return fs.ErrNotExist
	}
	f, err := s.Results.Open(name)
	if err != nil {
		return fs.ErrNotExist // whatever it is, nobody outside learns more
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	switch {
	case info.IsDir() && !strings.HasSuffix(r.URL.Path, "/"):
		http.Redirect(w, r, path.Base(name)+"/", http.StatusMovedPermanently)
		return nil
	case info.IsDir():
		return s.folder(w, name)
	case !info.Mode().IsRegular():
		return fs.ErrNotExist
	}
	w.Header().Set("Content-Type", contentType(name))
	w.Header().Set("Cache-Control", cacheFor(name))
	http.ServeContent(w, r, "", info.ModTime(), f)
	return nil
}

// hidden: names that begin with a dot are files in the making, or the tree's
// own.
func hidden(name string) bool {
	return slices.ContainsFunc(strings.Split(name, "/"), func(part string) bool { return strings.HasPrefix(part, ".") })
}

func contentType(name string) string {
	switch path.Ext(name) {
	case ".log", ".txt", ".repo":
		return "text/plain; charset=utf-8"
	case ".rpm":
		return "application/x-rpm"
	case ".xml":
		return "text/xml; charset=utf-8"
	case ".gz":
		return "application/gzip"
	case ".zst":
		return "application/zstd"
	}
	return "application/octet-stream"
}

// cacheFor: what is named by its content or its snapshot never changes; the
// stable repomd.xml and growing logs do at any moment.
func cacheFor(name string) string {
	switch {
	case strings.Contains(name, "/@") || strings.HasSuffix(name, ".rpm"):
		return "public, max-age=31536000, immutable"
	case strings.HasPrefix(name, "repos/") && strings.Contains(path.Base(name), "-"):
		return "public, max-age=31536000, immutable" // checksum-named metadata
	}
	return "no-cache"
}

type entry struct {
	Name string
	Dir  bool
	Size int64
	Time time.Time
}

func (s *site) folder(w http.ResponseWriter, name string) error {
	list, err := s.Results.ReadDir(name)
	if err != nil {
		return err
	}
	view := map[string]any{"Title": "/" + name + "/"}
	var entries []entry
	for _, e := range list {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := s.Results.Stat(path.Join(name, e.Name()))
		if err != nil {
			continue // gone meanwhile, or a link that leads out
		}
		entries = append(entries, entry{Name: e.Name(), Dir: info.IsDir(), Size: info.Size(), Time: info.ModTime()})
	}
	view["Entries"] = entries
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return s.pages.ExecuteTemplate(w, "folder.html", view)
}
