package main

import (
	_ "unsafe" // go:linkname

	_ "github.com/corona10/goimagehash/transforms"
)

// The library's own cosine tables: exact doubles, because JavaScript's Math.cos may differ from Go's in the last bit.

//go:linkname dct64 github.com/corona10/goimagehash/transforms.dct64
var dct64 [32]float64

//go:linkname dct32 github.com/corona10/goimagehash/transforms.dct32
var dct32 [16]float64

//go:linkname dct16 github.com/corona10/goimagehash/transforms.dct16
var dct16 [8]float64

//go:linkname dct8 github.com/corona10/goimagehash/transforms.dct8
var dct8 [4]float64

//go:linkname dct4 github.com/corona10/goimagehash/transforms.dct4
var dct4 [2]float64

//go:linkname dct2 github.com/corona10/goimagehash/transforms.dct2
var dct2 [1]float64

func tables() map[string][]float64 {
	return map[string][]float64{
		"dct64": dct64[:], "dct32": dct32[:], "dct16": dct16[:], "dct8": dct8[:], "dct4": dct4[:], "dct2": dct2[:],
	}
}
