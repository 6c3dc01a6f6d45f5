package program

import (
	"bytes"
	"encoding/json"
)

// AnswerJSON puts v on standard output as one line of JSON and returns the exit
// status.
func (p *Program) AnswerJSON(v any) int {
	line, err := JSONLine(v)
	if err != nil {
		p.Error(err.Error())
		return 1
	}
	return p.Answer(line)
}

// JSONLine is v as one line of JSON, with its end, in which characters that mean
// something in HTML stand as they are.
func JSONLine(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.String(), err
}
