package main

import (
	"image"
	"image/color"
)

// Pixel values made from integers only, so that the TypeScript test can make the very same ones (patterns.ts).

func hash32(seed, x, y, c uint32) uint32 {
	h := seed*0x9E3779B1 ^ x*0x85EBCA77 ^ y*0xC2B2AE3D ^ c*0x27D4EB2F
	h ^= h >> 15
	h *= 0x2C1B3C6D
	h ^= h >> 12
	h *= 0x297A2D39
	h ^= h >> 15
	return h
}

// sample16 is the 16-bit value of channel c at (x, y); 8-bit images take its upper byte.
func sample16(pattern string, seed uint32, x, y, c, w, h int) uint16 {
	ux, uy, uc := uint32(x), uint32(y), uint32(c)
	switch pattern {
	case "noise":
		return uint16(hash32(seed, ux, uy, uc))
	case "waves":
		a, b := hash32(seed, 1, 0, uc)%7+1, hash32(seed, 2, 0, uc)%7+1
		t := (ux*a*97 + uy*b*61 + hash32(seed, 3, 0, uc)%1024) % 1024
		if t >= 512 {
			t = 1023 - t
		}
		return uint16(t * 128)
	case "disc":
		dx, dy := 2*x-w, 2*y-h
		r := min(w, h)
		if dx*dx+dy*dy < r*r*3/4 {
			return uint16(hash32(seed, 5, 0, uc))
		}
		return uint16(hash32(seed, 6, ux*4/uint32(w), uc))
	case "checker":
		if (x/3+y/5)%2 == 0 {
			return uint16(hash32(seed, 7, 0, uc))
		}
		return uint16(hash32(seed, 8, 0, uc))
	case "flat":
		return uint16(hash32(seed, 9, 0, uc))
	case "faint": // a few neighbouring levels only, so that every rounding decides bits
		return uint16(hash32(seed, 12, 0, uc)%60000 + hash32(seed, ux, uy, uc)%900)
	case "white":
		return 0xffff
	default: // black
		return 0
	}
}

var ratios = map[string]image.YCbCrSubsampleRatio{
	"444": image.YCbCrSubsampleRatio444, "422": image.YCbCrSubsampleRatio422, "420": image.YCbCrSubsampleRatio420,
	"440": image.YCbCrSubsampleRatio440, "411": image.YCbCrSubsampleRatio411, "410": image.YCbCrSubsampleRatio410,
}

const paletteSize = 23

func makeImage(kind, ratio, pattern string, seed uint32, w, h int) image.Image {
	at := func(x, y, c int) uint16 { return sample16(pattern, seed, x, y, c, w, h) }
	at8 := func(x, y, c int) uint8 { return uint8(at(x, y, c) >> 8) }
	rect := image.Rect(0, 0, w, h)
	each := func(f func(x, y int)) {
		for y := 0; y < h; y++ {
			for x := 0; x < w; x++ {
				f(x, y)
			}
		}
	}
	switch kind {
	case "gray8":
		m := image.NewGray(rect)
		each(func(x, y int) { m.SetGray(x, y, color.Gray{at8(x, y, 0)}) })
		return m
	case "gray16":
		m := image.NewGray16(rect)
		each(func(x, y int) { m.SetGray16(x, y, color.Gray16{at(x, y, 0)}) })
		return m
	case "rgba8":
		m := image.NewRGBA(rect)
		each(func(x, y int) { m.SetRGBA(x, y, color.RGBA{at8(x, y, 0), at8(x, y, 1), at8(x, y, 2), 255}) })
		return m
	case "nrgba8":
		m := image.NewNRGBA(rect)
		each(func(x, y int) { m.SetNRGBA(x, y, color.NRGBA{at8(x, y, 0), at8(x, y, 1), at8(x, y, 2), at8(x, y, 3)}) })
		return m
	case "rgba16":
		m := image.NewRGBA64(rect)
		each(func(x, y int) { m.SetRGBA64(x, y, color.RGBA64{at(x, y, 0), at(x, y, 1), at(x, y, 2), 65535}) })
		return m
	case "nrgba16":
		m := image.NewNRGBA64(rect)
		each(func(x, y int) { m.SetNRGBA64(x, y, color.NRGBA64{at(x, y, 0), at(x, y, 1), at(x, y, 2), at(x, y, 3)}) })
		return m
	case "paletted":
		palette := color.Palette{}
		for i := 0; i < paletteSize; i++ {
			p := func(c uint32) uint8 { return uint8(hash32(seed, 10, uint32(i), c)) }
			palette = append(palette, color.NRGBA{p(0), p(1), p(2), p(3)})
		}
		m := image.NewPaletted(rect, palette)
		each(func(x, y int) { m.SetColorIndex(x, y, uint8(uint32(at(x, y, 0))*paletteSize>>16)) })
		return m
	default:
		m := image.NewYCbCr(rect, ratios[ratio])
		each(func(x, y int) { m.Y[m.YOffset(x, y)] = at8(x, y, 0) })
		for y := 0; y*m.CStride < len(m.Cb); y++ {
			for x := 0; x < m.CStride; x++ {
				m.Cb[y*m.CStride+x], m.Cr[y*m.CStride+x] = at8(x, y, 1), at8(x, y, 2)
			}
		}
		return m
	}
}
