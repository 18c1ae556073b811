package source

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"

	"plague"
)

func gitConf(url string, allow ...string) Config { return Config{Kind: Git, URL: url, Allow: allow} }
func cvsConf(root string, allow ...string) Config {
	return Config{Kind: CVS, CVSRoot: root, Allow: allow}
}
func svnConf(url string, allow ...string) Config { return Config{Kind: SVN, URL: url, Allow: allow} }

const farm = "https://git.example.org/rpms"

// What a plan asks, of what was configured and named.
func TestPlan(t *testing.T) {
	for _, tt := range []struct {
		conf   Config
		tag    string
		url    string
		layout Layout
	}{
		{gitConf(farm), "tree-2.1.0-1", "https://git.example.org/rpms/tree", DistGit},
		{gitConf(farm + "/"), "f40/main", "https://git.example.org/rpms/tree", DistGit},
		{gitConf("git://h/$package.git"), "v1+2=3@4%5_6", "git://h/tree.git", DistGit},
		{gitConf("ssh://git@h:2222/$package/src"), strings.Repeat("0a", 20), "ssh://git@h:2222/tree/src", DistGit},
		{gitConf("https://GIT.example.org:443/rpms", "https://git.example.org/rpms/"), "v1", "https://GIT.example.org:443/rpms/tree", DistGit},
		{gitConf(farm, "https://other.example.org/", farm), "v1", "https://git.example.org/rpms/tree", DistGit},
		{gitConf("file:///srv/git", "file:///srv"), "v1", "file:///srv/git/tree", DistGit},
		{cvsConf(":pserver:anonymous@cvs.example.org:/cvs/extras"), "tree-2_1_0-1", ":pserver:anonymous@cvs.example.org:/cvs/extras", Make},
		{cvsConf(":ext:me@cvs.example.org:2222/cvs", "ext://cvs.example.org:2222/"), "HEAD", ":ext:me@cvs.example.org:2222/cvs", Make},
		{cvsConf("/cvs", "local:///cvs"), "v1", "/cvs", Make},
		{svnConf("svn://h/repo"), "v1", "svn://h/repo/tree/tags/v1", DistGit},
		{svnConf("svn://h/$package/$tag/rpm"), "branches/el9@12", "svn://h/tree/branches/el9/rpm", DistGit},
		{svnConf("svn+ssh://me@h/r"), "trunk", "svn+ssh://me@h/r/tree/trunk", DistGit},
	} {
		p, err := tt.conf.Plan(Request{"tree", tt.tag})
		if err != nil || p.URL != tt.url || p.cfg.Layout != tt.layout {
			t.Errorf("%+v %s: %q, %q, %v", tt.conf, tt.tag, p.URL, p.cfg.Layout, err)
		}
	}
}

// Every trick with a name, a tag or an address is refused before anything runs.
func TestPlanRefuses(t *testing.T) {
	secret := "hunter2"
	for name, tt := range map[string]struct {
		conf     Config
		pkg, tag string
		want     string // in the text
	}{
		"package like an option":    {gitConf(farm), "--upload-pack=x", "v1", "begins with"},
		"package that climbs":       {gitConf(farm), "../secret", "v1", "package name"},
		"package with dots":         {gitConf(farm), "a..b", "v1", "package name"},
		"package with a folder":     {gitConf(farm), "a/b", "v1", "package name"},
		"package with a line":       {gitConf(farm), "a\nb", "v1", "package name"},
		"no package":                {gitConf(farm), "", "v1", "package name"},
		"tag like an option":        {gitConf(farm), "tree", "--upload-pack=sh", "illegal character"},
		"tag like a short option":   {cvsConf("/cvs", "local:///"), "tree", "-Dnow", "illegal character"},
		"svn tag like an option":    {svnConf("svn://h/r"), "tree", "-rHEAD", "illegal character"},
		"tag part like an option":   {gitConf(farm), "tree", "a/-b", "part"},
		"tag that climbs":           {svnConf("svn://h/r"), "tree", "../../other", "illegal character"},
		"tag that climbs inside":    {svnConf("svn://h/r"), "tree", "branches/../../x", "part"},
		"tag as a range":            {gitConf(farm), "tree", "a..b", "part"},
		"tag as a refspec":          {gitConf(farm), "tree", "a:refs/heads/b", "illegal character"},
		"tag as a pattern":          {gitConf(farm), "tree", "v*", "illegal character"},
		"tag as a search":           {gitConf(farm), "tree", "a^{/x}", "illegal character"},
		"tag as a reflog":           {gitConf(farm), "tree", "a@{1}", "illegal character"},
		"tag with a lock":           {gitConf(farm), "tree", "a.lock", "part"},
		"tag with a zero byte":      {gitConf(farm), "tree", "a\x00b", "illegal character"},
		"tag with an escape":        {cvsConf("/cvs", "local:///"), "tree", "a\x1b[31m", "illegal character"},
		"tag with a space":          {cvsConf("/cvs", "local:///"), "tree", "a b", "illegal character"},
		"tag with a shell":          {cvsConf("/cvs", "local:///"), "tree", "a;id", "The CVS tag contained an illegal character"},
		"no tag":                    {gitConf(farm), "tree", "", "illegal character"},
		"long tag":                  {gitConf(farm), "tree", strings.Repeat("a", 201), "too long"},
		"revision that is none":     {svnConf("svn://h/r"), "tree", "trunk@HEAD", "no number"},
		"two revisions":             {svnConf("svn://h/r"), "tree", "trunk@1@2", "no number"},
		"no system":                 {Config{URL: farm}, "tree", "v1", "source control system"},
		"no layout":                 {Config{Kind: Git, URL: farm, Layout: "tito"}, "tree", "v1", "layout"},
		"helper ext":                {gitConf("ext::sh -c id"), "tree", "v1", "space"},
		"helper ext without spaces": {gitConf("ext::id"), "tree", "v1", "helper"},
		"helper in an address":      {gitConf("ext::https://h/x"), "tree", "v1", "helper"},
		"helper fd":                 {gitConf("fd::17/x"), "tree", "v1", "helper"},
		"no protocol":               {gitConf("/srv/git"), "tree", "v1", "no address"},
		"address like an option":    {gitConf("--upload-pack=x"), "tree", "v1", "no address"},
		"ssh in short":              {gitConf("git@h:rpms"), "tree", "v1", "address"},
		"unknown protocol":          {gitConf("ftp://h/x"), "tree", "v1", "protocol"},
		"protocol of another":       {gitConf("svn://h/x"), "tree", "v1", "protocol"},
		"svn tunnel":                {svnConf("svn+sh://h/x"), "tree", "v1", "protocol"},
		"file without leave":        {gitConf("file:///srv/git"), "tree", "v1", "not allowed"},
		"svn file without leave":    {svnConf("file:///srv/svn"), "tree", "v1", "not allowed"},
		"folder without leave":      {cvsConf("/cvs"), "tree", "v1", "not allowed"},
		"file with a host":          {gitConf("file://h/srv", "file:///"), "tree", "v1", "no host"},
		"another host":              {gitConf(farm, "https://example.org/"), "tree", "v1", "not allowed"},
		"host that ends alike":      {gitConf("https://evilgit.example.org/rpms", farm), "tree", "v1", "not allowed"},
		"host that begins alike":    {gitConf("https://git.example.org.evil/rpms", farm), "tree", "v1", "not allowed"},
		"another port":              {gitConf("https://git.example.org:8443/rpms", farm), "tree", "v1", "not allowed"},
		"another protocol":          {gitConf("http://git.example.org/rpms", farm), "tree", "v1", "not allowed"},
		"path that begins alike":    {gitConf("https://git.example.org/rpms-evil", farm), "tree", "v1", "not allowed"},
		"path that climbs":          {gitConf(farm+"/../evil", farm), "tree", "v1", "no clean path"},
		"path with two slashes":     {gitConf("https://git.example.org//rpms", farm), "tree", "v1", "no clean path"},
		"path in disguise":          {gitConf(farm+"/%2e%2e/evil", farm), "tree", "v1", "escape"},
		"query":                     {gitConf(farm+"/?x=", farm), "tree", "v1", "query"},
		"fragment":                  {gitConf(farm+"/#", farm), "tree", "v1", "query"},
		"host like an option":       {gitConf("ssh://-oProxyCommand=id/x"), "tree", "v1", "no host"},
		"user like an option":       {gitConf("ssh://-oProxyCommand@h/x"), "tree", "v1", "names a user"},
		"password":                  {gitConf("https://me:" + secret + "@h/x"), "tree", "v1", "password"},
		"token as a user":           {gitConf("https://" + secret + "@h/x"), "tree", "v1", "names a user"},
		"address with a line":       {gitConf("https://h/x\n"), "tree", "v1", "control"},
		"address with a tab":        {gitConf("https://h/x\ty"), "tree", "v1", "control"},
		"foreign letters":           {gitConf("https://hоst/x"), "tree", "v1", "foreign"},
		"long address":              {gitConf("https://h/" + strings.Repeat("x", 2000)), "tree", "v1", "bytes"},
		"list of nonsense":          {gitConf(farm, "git.example.org"), "tree", "v1", "allowed sources"},
		"cvs password":              {cvsConf(":pserver:me:" + secret + "@h:/cvs"), "tree", "v1", "cvs_root"},
		"cvs options":               {cvsConf(":pserver;proxy=evil:h:/cvs"), "tree", "v1", "cvs_root"},
		"cvs program":               {cvsConf(":ext=id:h:/cvs"), "tree", "v1", "cvs_root"},
		"cvs fork":                  {cvsConf(":fork:/cvs"), "tree", "v1", "cvs_root"},
		"cvs host like an option":   {cvsConf(":ext:-oProxyCommand=id:/cvs"), "tree", "v1", "no host"},
		"cvs root that climbs":      {cvsConf(":ext:h:/cvs/../x", "ext://h/cvs"), "tree", "v1", "no clean path"},
		"cvs another root":          {cvsConf(":ext:h:/cvs2", "ext://h/cvs"), "tree", "v1", "not allowed"},
		"cvs_rsh with arguments":    {Config{Kind: CVS, CVSRoot: ":ext:h:/cvs", CVSRSH: "ssh -v"}, "tree", "v1", "cvs_rsh"},
		"cvs_rsh like an option":    {Config{Kind: CVS, CVSRoot: ":ext:h:/cvs", CVSRSH: "-x"}, "tree", "v1", "cvs_rsh"},
		"branch that climbs":        {Config{Kind: Git, URL: farm, Branch: "../x"}, "tree", "v1", "folder"},
		"common that climbs":        {Config{Kind: CVS, CVSRoot: ":ext:h:/cvs", Common: "a/../.."}, "tree", "v1", "folder"},
		"lookaside of files":        {Config{Kind: Git, URL: farm, Lookaside: "file:///etc"}, "tree", "v1", "protocol"},
		"lookaside with password":   {Config{Kind: Git, URL: farm, Lookaside: "https://a:" + secret + "@h/"}, "tree", "v1", "password"},
		"network to no server":      {Config{Kind: Git, URL: farm, Lookaside: "/srv", Network: true}, "tree", "v1", "network"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tt.conf.Plan(Request{tt.pkg, tt.tag})
			var r *plague.Refusal
			if !errors.As(err, &r) || r.Hint == "" || !errors.Is(err, plague.ErrInvalid) && !errors.Is(err, plague.ErrDenied) {
				t.Fatalf("got %v, which is no refusal with a hint", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
			if strings.Contains(err.Error(), secret) || strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Errorf("%q shows what it must not", err)
			}
		})
	}
}

func FuzzPlan(f *testing.F) {
	for _, url := range []string{farm, "ext::id", "https://a:b@h/x", "file:///srv", "svn://h/$package/$tag", ":ext:me@h:/cvs", "ssh://-oX/x", "https://[::1]/x"} {
		for _, tag := range []string{"v1", "-x", "a..b", "trunk@12", "branches/x"} {
			f.Add(url, "tree", tag)
		}
	}
	f.Fuzz(func(t *testing.T, url, pkg, tag string) {
		for _, c := range []Config{gitConf(url), svnConf(url), cvsConf(url), gitConf(url, farm)} {
			p, err := c.Plan(Request{pkg, tag})
			if err != nil {
				if !errors.Is(err, plague.ErrInvalid) && !errors.Is(err, plague.ErrDenied) {
					t.Fatalf("%v is no refusal", err)
				}
				continue
			}
			for _, arg := range []string{p.URL, p.Package, p.Tag} {
				if arg == "" || arg[0] == '-' || strings.ContainsFunc(arg, func(r rune) bool { return r <= ' ' || r > '~' }) {
					t.Fatalf("the argument %q of %q", arg, url)
				}
			}
			if strings.Contains(p.Tag, "..") || strings.Contains(p.at.path+"/", "/../") || p.at.protocol == "file" || p.at.protocol == "local" {
				t.Fatalf("%+v leads where it should not", p)
			}
			if !slices.Contains(protocols(c.Kind), p.at.protocol) {
				t.Fatalf("%+v has a protocol of its own", p)
			}
			if c.Allow != nil && !strings.HasPrefix(strings.ToLower(p.at.String()), farm+"/") {
				t.Fatalf("%q is not below %q", p.at, farm)
			}
		}
	})
}
