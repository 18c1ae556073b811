package notify

import (
	"embed"
	"net/url"
	"path"
	"text/template"

	"plague/internal/buildlog"
)

//go:embed templates
var files embed.FS

func templates() (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{"line": buildlog.OneLine}).ParseFS(files, "templates/*.txt")
}

// url is where the public web shows a path of the result tree.
func (n *Notifier) url(elem ...string) string {
	return n.URL + (&url.URL{Path: "/" + path.Join(elem...)}).EscapedPath()
}
