package xmlrpc

import (
	"strings"
	"testing"
)

// Every attack is refused for its own reason, and the largest document that is
// allowed passes, so the limits stand where they should.
func TestLimits(t *testing.T) {
	nested := func(n int) string {
		return strings.Repeat("<value><array><data>", n) + "<value/>" + strings.Repeat("</data></array></value>", n)
	}
	nestedStructs := func(n int) string {
		return strings.Repeat("<value><struct><member><name>a</name>", n) + "<value/>" + strings.Repeat("</member></struct></value>", n)
	}
	list := func(n int) string {
		return "<value><array><data>" + strings.Repeat("<value/>", n-1) + "</data></array></value>"
	}
	text := func(n int) string { return "<value>" + strings.Repeat("x", n) + "</value>" }
	l := defaultLimits()
	laughs := "<!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol2 '" + strings.Repeat("&lol;", 10) + "'>]>"
	tests := []struct{ name, doc, want string }{
		{"depth allowed", response(nested(l.depth)), ""},
		{"too deep", response(nested(l.depth + 1)), "inside each other"},
		{"a million nested arrays", response(nested(1_000_000)), "inside each other"},
		{"a million nested arrays that never end", response(strings.Repeat("<value><array><data>", 1_000_000)), "inside each other"},
		{"too deep structs", response(nestedStructs(l.depth + 1)), "inside each other"},
		{"values allowed", response(list(l.values)), ""},
		{"too many values", response(list(l.values + 1)), "values"},
		{"text allowed", response(text(l.text)), ""},
		{"giant text", response(text(l.text + 1)), "longer than"},
		{"giant text of many pieces", response("<value>" + strings.Repeat("xxxxxxxx<!---->", l.text/8+1) + "</value>"), "longer than"},
		{"giant text in CDATA", response("<value><![CDATA[" + strings.Repeat("x", l.text+1) + "]]></value>"), "longer than"},
		{"giant white space", response("<value>" + strings.Repeat(" ", l.text+1) + "<int>1</int></value>"), "longer than"},
		{"giant base64", response("<value><base64>" + strings.Repeat("AAAA", l.text/4+1) + "</base64></value>"), "longer than"},
		{"giant number", response("<value><int>" + strings.Repeat("9", 1<<20) + "</int></value>"), "out of range"},
		{"giant member name", response("<value><struct><member><name>" + strings.Repeat("x", l.text+1) + "</name></member></struct></value>"), "longer than"},
		{"giant element name", response("<value><" + strings.Repeat("x", 1<<20) + "/></value>"), "unknown type"},
		{"many attributes", response("<value" + strings.Repeat(" a='1'", 1<<20) + "/>"), ""},
		{"many comments", response("<value>" + strings.Repeat("<!---->", 1<<20) + "</value>"), ""},
		{"many references", response("<value>" + strings.Repeat("&#00000000000000000000000000065;", 1<<16) + "</value>"), ""},
		{"comments that do not end", strings.Repeat("<!-", 1<<20), "no name|document types"},
		{"billion laughs", laughs + response("<value>&lol2;</value>"), "document types"},
		{"external entity", "<!DOCTYPE a SYSTEM 'file:///etc/passwd'>" + response("<value/>"), "document types"},
		{"encoding that grows", "<?xml version='1.0' encoding='iso-8859-1'?>" + strings.Repeat("\xe9", int(l.body)/2+1), "in UTF-8"},
		{"giant encoding name", "<?xml version='1.0' encoding='" + strings.Repeat("x", 1<<20) + "'?>", "XML declaration"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := decodeResponse([]byte(tt.doc), l)
			if tt.want == "" {
				if err != nil {
					t.Fatalf("got %v, want it accepted", err)
				}
				return
			}
			one, other, _ := strings.Cut(tt.want, "|")
			if err == nil || !strings.Contains(err.Error(), one) && (other == "" || !strings.Contains(err.Error(), other)) {
				t.Fatalf("got error %v, want one with %q", err, tt.want)
			}
			if len(err.Error()) > 300 {
				t.Errorf("the error has %d bytes: it repeats what was sent", len(err.Error()))
			}
		})
	}
}
