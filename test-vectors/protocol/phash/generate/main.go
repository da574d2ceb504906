// Writes the golden perceptual hashes: what goimagehash 1.1.0 says of made-up pixels, of PNG files and of JPEG planes.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"

	"github.com/corona10/goimagehash"
)

type pixelCase struct {
	Kind    string `json:"kind"`
	Ratio   string `json:"ratio,omitempty"`
	Pattern string `json:"pattern"`
	Seed    uint32 `json:"seed"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Hash    string `json:"hash"`
}

type fileCase struct {
	File string `json:"file"`
	Type string `json:"type"` // the Go image type that the decoder yields
	Hash string `json:"hash"`
}

type jpegCase struct {
	File    string `json:"file"`
	Ratio   string `json:"ratio"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	YStride int    `json:"yStride"`
	CStride int    `json:"cStride"`
	Y       string `json:"y"`
	Cb      string `json:"cb"`
	Cr      string `json:"cr"`
	Hash    string `json:"hash"`
}

func main() {
	out := os.Args[1]
	writeJSON(filepath.Join(out, "tables.json"), tables())
	writeLines(filepath.Join(out, "pixels.json"), pixelCases())
	writeLines(filepath.Join(out, "png.json"), pngCases(filepath.Join(out, "png")))
	writeLines(filepath.Join(out, "jpeg.json"), jpegCases(filepath.Join(out, "jpeg")))
}

func hashOf(m image.Image) string {
	h, err := goimagehash.PerceptionHash(m)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("0x%016x", h.GetHash())
}

func pixelCases() (cases []any) {
	kinds := []string{"gray8", "gray16", "rgba8", "nrgba8", "rgba16", "nrgba16", "paletted",
		"ycbcr 444", "ycbcr 422", "ycbcr 420", "ycbcr 440", "ycbcr 411", "ycbcr 410"}
	small := [][2]int{{1, 1}, {1, 2}, {2, 2}, {3, 5}, {1, 64}, {64, 1}, {16, 16}, {63, 64}, {64, 63}, {64, 64}, {65, 64}, {64, 65},
		{65, 100}, {100, 65}, {127, 129}, {128, 128}, {200, 40}, {300, 1}, {1, 300}, {320, 256}}
	large := [][2]int{{512, 512}, {768, 1024}, {1024, 576}}
	seed := uint32(1)
	add := func(kind, pattern string, w, h int) {
		seed++
		name, ratio, _ := strings.Cut(kind, " ")
		m := makeImage(name, ratio, pattern, seed, w, h)
		cases = append(cases, pixelCase{name, ratio, pattern, seed, w, h, hashOf(m)})
	}
	for _, kind := range kinds {
		for _, size := range small {
			for _, pattern := range []string{"noise", "waves", "disc"} {
				add(kind, pattern, size[0], size[1])
			}
		}
		for _, pattern := range []string{"noise", "waves", "disc", "checker", "flat"} {
			add(kind, pattern, 64, 64)
			add(kind, pattern, 96, 96)
		}
		for _, pattern := range []string{"black", "white"} {
			add(kind, pattern, 64, 64)
			add(kind, pattern, 50, 70)
		}
		for i, size := range large {
			add(kind, []string{"noise", "waves", "disc"}[i], size[0], size[1])
		}
	}
	for _, kind := range kinds {
		for _, size := range [][2]int{{64, 64}, {64, 64}, {64, 64}, {64, 64}, {96, 96}, {50, 70}} {
			add(kind, "faint", size[0], size[1])
		}
	}
	add("rgba8", "noise", 2048, 1536)
	add("gray8", "waves", 4096, 4096)
	add("nrgba8", "noise", 4096, 33)
	return cases
}

func pngCases(dir string) (cases []any) {
	for _, s := range pngSpecs() {
		data := s.encode()
		m, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			panic(s.name + ": " + err.Error())
		}
		write(filepath.Join(dir, s.name), data)
		cases = append(cases, fileCase{s.name, strings.TrimPrefix(fmt.Sprintf("%T", m), "*image."), hashOf(m)})
	}
	return cases
}

func pngSpecs() (specs []pngSpec) {
	kinds := []struct {
		name              string
		colourType, depth int
	}{{"g1", 0, 1}, {"g2", 0, 2}, {"g4", 0, 4}, {"g8", 0, 8}, {"g16", 0, 16}, {"rgb8", 2, 8}, {"rgb16", 2, 16}, {"p1", 3, 1},
		{"p2", 3, 2}, {"p4", 3, 4}, {"p8", 3, 8}, {"ga8", 4, 8}, {"ga16", 4, 16}, {"rgba8", 6, 8}, {"rgba16", 6, 16}}
	for i, k := range kinds {
		s := pngSpec{pattern: "disc", depth: k.depth, colourType: k.colourType, seed: uint32(100 + i), filter: -1}
		if k.colourType == 3 {
			s.paletteEntries = min(1<<k.depth, 200)
		}
		s.name, s.width, s.height = k.name+".png", 70, 45
		specs = append(specs, s)
		s.name, s.width, s.height, s.pattern = k.name+"-64.png", 64, 64, "waves"
		specs = append(specs, s)
		s.name, s.width, s.height, s.interlaced = k.name+"-interlaced.png", 37, 53, true
		specs = append(specs, s)
		s.interlaced, s.width, s.height = false, 80, 61
		s.name = k.name + "-trns.png"
		at := func(c int) uint16 { return sample16("checker", s.seed, 0, 0, c, 80, 61) >> (16 - k.depth) }
		s.pattern = "checker"
		switch k.colourType {
		case 0:
			v := at(0)
			s.transparent = []byte{byte(v >> 8), byte(v)}
		case 2:
			for c := 0; c < 3; c++ {
				v := at(c)
				s.transparent = append(s.transparent, byte(v>>8), byte(v))
			}
		case 3:
			for j := 0; j < (s.paletteEntries+1)/2; j++ {
				s.transparent = append(s.transparent, byte(hash32(s.seed, 11, uint32(j), 0)))
			}
			s.pattern = "waves"
		default:
			continue
		}
		specs = append(specs, s)
	}
	for _, size := range [][2]int{{1, 1}, {3, 5}, {5, 1}, {63, 64}, {65, 100}} {
		specs = append(specs, pngSpec{name: fmt.Sprintf("rgb8-%dx%d.png", size[0], size[1]), pattern: "noise", width: size[0],
			height: size[1], depth: 8, colourType: 2, seed: 200, filter: -1})
	}
	specs = append(specs,
		pngSpec{name: "rgb8-512.png", pattern: "disc", width: 512, height: 512, depth: 8, colourType: 2, seed: 201, filter: 2, idatSize: 100},
		pngSpec{name: "rgb8-768x1024.png", pattern: "disc", width: 768, height: 1024, depth: 8, colourType: 2, seed: 202, filter: 2},
		pngSpec{name: "rgba8-1024.png", pattern: "checker", width: 1024, height: 1024, depth: 8, colourType: 6, seed: 203, filter: 1},
		pngSpec{name: "black.png", pattern: "black", width: 512, height: 512, depth: 8, colourType: 2, seed: 204},
		pngSpec{name: "white.png", pattern: "white", width: 64, height: 64, depth: 8, colourType: 2, seed: 205},
		pngSpec{name: "flat.png", pattern: "flat", width: 77, height: 33, depth: 8, colourType: 6, seed: 206},
		pngSpec{name: "interlaced-1x1.png", pattern: "noise", width: 1, height: 1, depth: 8, colourType: 2, seed: 207, interlaced: true},
		pngSpec{name: "interlaced-3x2.png", pattern: "noise", width: 3, height: 2, depth: 1, colourType: 0, seed: 208, interlaced: true},
		pngSpec{name: "rgb8-split.png", pattern: "noise", width: 20, height: 30, depth: 8, colourType: 2, seed: 209, filter: -1, idatSize: 1},
	)
	return specs
}

// jpegCases reads the .jpg files that lie there (and first writes those that Go can encode: 4:2:0 and gray).
func jpegCases(dir string) (cases []any) {
	for i, size := range [][2]int{{64, 64}, {90, 70}, {33, 47}} {
		buffer := &bytes.Buffer{}
		if err := jpeg.Encode(buffer, makeImage("rgba8", "", "disc", uint32(300+i), size[0], size[1]), &jpeg.Options{Quality: 80}); err != nil {
			panic(err)
		}
		write(filepath.Join(dir, fmt.Sprintf("420-%dx%d.jpg", size[0], size[1])), buffer.Bytes())
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*.jpg"))
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			panic(err)
		}
		decoded, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			panic(err)
		}
		m := decoded.(*image.YCbCr)
		b64 := base64.StdEncoding.EncodeToString
		cases = append(cases, jpegCase{filepath.Base(name), strings.TrimPrefix(m.SubsampleRatio.String(), "YCbCrSubsampleRatio"),
			m.Rect.Dx(), m.Rect.Dy(), m.YStride, m.CStride, b64(m.Y), b64(m.Cb), b64(m.Cr), hashOf(m)})
	}
	return cases
}

func write(path string, data []byte) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		panic(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		panic(err)
	}
}

func writeJSON(path string, value any) {
	data, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		panic(err)
	}
	write(path, append(data, '\n'))
}

// writeLines writes a JSON array with one element a line.
func writeLines(path string, values []any) {
	lines := []string{}
	for _, v := range values {
		data, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		lines = append(lines, string(data))
	}
	write(path, []byte("[\n"+strings.Join(lines, ",\n")+"\n]\n"))
}
