"""unaccent: letters without their marks (PostgreSQL manual, F.46)."""
# ruff: noqa: RUF001

from __future__ import annotations

from typing import Final

from helios_cli.engine.sql.functions.define import Library

_RULES: Final = """
    300-362,20dd-20e0,20e2-20e4: 2189:0/3 215f:1/ 2152:1/10 bd:1/2 2153:1/3 bc:1/4 2155:1/5 2159:1/6
    2150:1/7 215b:1/8 2151:1/9 2154:2/3 2156:2/5 be:3/4 2157:3/5 215c:3/8 2158:4/5 215a:5/6 215d:5/8
    215e:7/8 a1,fe15,fe57,ff01:! 203c:!! 2049:!? 2ba,201c-201d,201f,2033,301d-301e,ff02:" fe5f,ff03:# fe69,ff04:$
    fe6a,ff05:% fe60,ff06:& 2b9,2bb-2bd,2c8,2018-2019,201b,2032,ff07:' 149:'n fe35,fe59,ff08:( 2985,ff5f:(( 2474:(1)
    247d:(10) 247e:(11) 247f:(12) 2480:(13) 2481:(14) 2482:(15) 2483:(16) 2484:(17) 2485:(18) 2486:(19) 2475:(2)
    2487:(20) 2476:(3) 2477:(4) 2478:(5) 2479:(6) 247a:(7) 247b:(8) 247c:(9) 1f110:(A) 1f111:(B) a9,1f112:(C)
    1f113:(D) 1f114:(E) 1f115:(F) 1f116:(G) 1f117:(H) 1f118:(I) 1f119:(J) 1f11a:(K) 1f11b:(L) 1f11c:(M) 1f11d:(N)
    1f11e:(O) 2117,1f11f:(P) 1f120:(Q) ae,1f121:(R) 1f122:(S) 1f123:(T) 1f124:(U) 1f125:(V) 1f126:(W) 1f127:(X)
    1f128:(Y) 1f129:(Z) 249c:(a) 249d:(b) 249e:(c) 249f:(d) 24a0:(e) 24a1:(f) 24a2:(g) 24a3:(h) 24a4:(i) 24a5:(j)
    24a6:(k) 24a7:(l) 24a8:(m) 24a9:(n) 24aa:(o) 24ab:(p) 24ac:(q) 24ad:(r) 24ae:(s) 24af:(t) 24b0:(u) 24b1:(v)
    24b2:(w) 24b3:(x) 24b4:(y) 24b5:(z) fe36,fe5a,ff09:) 2986,ff60:)) d7,204e,fe61,ff0a:* 2d6,fe62,ff0b:+ b1:+/-
    201a,3001,fe10-fe11,fe50-fe51,ff0c,ff64:, 201e:,, ad,2d7,2010-2015,2212,fe31-fe32,fe58,fe63,ff0d:- ffeb:->
    2024,3002,fe12,fe52,ff0e,ff61:. 2025,fe30:.. 2026,fe19:... f7,2044,2215,ff0f:/ 3007,ff10:0 1f101:0, 1f100:0.
    ff11:1 1f102:1, 2488:1. 2491:10. 2492:11. 2493:12. 2494:13. 2495:14. 2496:15. 2497:16. 2498:17. 2499:18.
    249a:19. ff12:2 1f103:2, 2489:2. 249b:20. ff13:3 1f104:3, 248a:3. ff14:4 1f105:4, 248b:4. ff15:5 1f106:5,
    248c:5. ff16:6 1f107:6, 248d:6. ff17:7 1f108:7, 248e:7. ff18:8 1f109:8, 248f:8. ff19:9 1f10a:9, 2490:9.
    2d0,fe13,fe55,ff1a:: 2a74:::= fe14,fe54,ff1b:; 2c2,2039,3008,fe3f,fe64,ff1c:< ffe9:<- ab,226a,300a,fe3d:<<
    fe66,ff1d:= 2a75:== 2a76:=== 2c3,203a,3009,fe40,fe65,ff1e:> bb,226b,300b,fe3e:>> bf,fe16,fe56,ff1f:? 2048:?!
    2047:?? fe6b,ff20:@ c0-c5,100,102,104,1cd,1de,1e0,1fa,200,202,226,23a,1d00,1e00:A
    1ea0,1ea2,1ea4,1ea6,1ea8,1eaa,1eac,1eae,1eb0,1eb2,1eb4,1eb6,ff21:A 33df:A/m a732:AA c6,1d01:AE a734:AO
    3373,a736:AU a738,a73a:AV a73c:AY 181-182,243,299,1d03,1e02,1e04,1e06,212c,ff22:B 33c3:Bq
    c7,106,108,10a,10c,187,23b,1d04,1e08,2102,212d,216d,a792,ff23:C 33c6:C/kg 20a0:CE 33c7:Co. 20a2:Cr
    d0,10e,110,189-18b,1d05-1d06,1e0a,1e0c,1e0e,1e10,1e12,2145,216e,a779,ff24:D 1c4,1f1:DZ 1c5,1f2:Dz
    c8-cb,112,114,116,118,11a,190,204,206,228,246,1d07,1e14,1e16:E
    1e18,1e1a,1e1c,1eb8,1eba,1ebc,1ebe,1ec0,1ec2,1ec4,1ec6,2130,ff25:E 191,1e1e,2131,a730,a77b,ff26:F 213b:FAX
    20a3:Fr. 11c,11e,120,122,193,1e4,1e6,1f4,262,29b,1e20,a7a0,ff27:G 3387:GB 3393:GHz 33ac:GPa 33c9:Gy
    124,126,21e,29c,1e22,1e24,1e26,1e28,1e2a,210b,210d,2c67,a7aa,ff28:H 33cb:HP 3390:Hz
    cc-cf,128,12a,12c,12e,130,196-197,1cf,208,20a,26a,1d7b,1e2c,1e2e:I 1ec8,1eca,2110-2111,2160,ff29:I 2161:II
    2162:III 132:IJ 337a:IU 2163:IV 2168:IX 134,248,1d0a,ff2a:J
    136,198,1e8,1d0b,1e30,1e32,1e34,2c69,a740,a742,a744,a7a2,ff2b:K 3385:KB 33cd:KK 33ce:KM
    139,13b,13d,13f,141,23d,29f,1d0c,1e36,1e38,1e3a,1e3c,2112,216c:L 2c60,2c62,a746,a748,ff2c:L 20a4:L. 1c7:LJ
    1efa:LL 1c8:Lj 1d0d,1e3e,1e40,1e42,2133,216f,2c6e,ff2d:M 3386:MB 3392:MHz 33ab:MPa 33b9:MV 33bf:MW
    d1,143,145,147,14a,19d,1f8,274,1e44,1e46,1e48,1e4a,2115,a790:N a7a4,ff2e:N 1ca:NJ 1cb:Nj 2116:No
    d2-d6,d8,14c,14e,150,1a0,1d1,1ea,1ec,20c,20e,22a,22c,22e:O
    230,1d0f,1e4c,1e4e,1e50,1e52,1ecc,1ece,1ed0,1ed2,1ed4,1ed6,1ed8,1eda:O 1edc,1ede,1ee0,1ee2,a74a,a74c,ff2f:O
    152,276:OE 1a2:OI a74e:OO 1a4,1d18,1e54,1e56,2118-2119,2c63,a750,a752,a754,ff30:P 33d9:PPM 33da:PR 33a9:Pa
    20a7:Pts 211a,a756,a758,ff31:Q 154,156,158,210,212,24c,280,1e58,1e5a,1e5c,1e5e,211b-211d,2c64,a776:R a7a6,ff32:R
    20b9:Rs 211e:Rx 15a,15c,15e,160,218,1e60,1e62,1e64,1e66,1e68,2c7e,a731,a7a8,ff33:S 1e9e:SS 33dc:Sv
    162,164,166,1ac,1ae,21a,23e,1d1b,1e6a,1e6c,1e6e,1e70,a786,ff34:T 2121:TEL de,a764,a766:TH 3394:THz 20ba:TL
    d9-dc,168,16a,16c,16e,170,172,1af,1d3,1d5,1d7,1d9,1db,214:U
    216,244,1d1c,1d7e,1e72,1e74,1e76,1e78,1e7a,1ee4,1ee6,1ee8,1eea,1eec:U 1eee,1ef0,ff35:U
    1b2,1d20,1e7c,1e7e,1efc,2164,a75e,ff36:V 33de:V/m 2165:VI 2166:VII 2167:VIII a760:VY
    174,1d21,1e80,1e82,1e84,1e86,1e88,2c72,ff37:W 33dd:Wb 1e8a,1e8c,2169,ff38:X 216a:XI 216b:XII
    dd,176,178,1b3,232,24e,28f,1e8e,1ef2,1ef4,1ef6,1ef8,1efe,ff39:Y
    179,17b,17d,1b5,224,1d22,1e90,1e92,1e94,2124,2128,2c6b,2c7f,ff3a:Z 2045,3014,3018,301a,fe39,fe47,fe5d,ff3b:[
    2216,fe68,ff3c:\\ 2046,3015,3019,301b,fe3a,fe48,fe5e,ff3d:] 2c4,2c6,ff3e:^ ff3f:_ 2cb,ff40:`
    e0-e5,101,103,105,1ce,1df,1e1,1fb,201,203,227,1d8f,1e01,1e9a:a
    1ea1,1ea3,1ea5,1ea7,1ea9,1eab,1ead,1eaf,1eb1,1eb3,1eb5,1eb7,2c65,ff41:a 33c2:a.m. 2100:a/c 2101:a/s a733:aa
    e6:ae a735:ao a737:au a739,a73b:av a73d:ay 180,183,253,1d6c,1d80,1e03,1e05,1e07,ff42:b 3374:bar
    e7,107,109,10b,10d,188,23c,255,1e09,217d,a793,ff43:c 2105:c/o 2106:c/u 3388:cal 33c4:cc 33c5:cd 339d:cm
    f0,10f,111,18c,221,256-257,1d6d,1d81,1d91,1e0b,1e0d,1e0f,1e11,1e13:d 2146,217e,a771,a77a,ff44:d 33c8:dB 3372:da
    238:db 3377:dm 1c6,1f3,2a3,2a5:dz e8-eb,113,115,117,119,11b,205,207,229,247,25b,1d92-1d93,1e15,1e17:e
    1e19,1e1b,1e1d,1eb9,1ebb,1ebd,1ebf,1ec1,1ec3,1ec5,1ec7,212f,2147,2c78:e ff45:e 192,1d6e,1d82,1e1f,a77c,ff46:f
    fb00:ff fb03:ffi fb04:ffl fb01:fi fb02:fl 3399:fm 11d,11f,121,123,1e5,1e7,1f5,260-261,1d83,1e21,210a,a7a1,ff47:g
    125,127,21f,266-267,1e23,1e25,1e27,1e29,1e2b,1e96,210e,2c68,ff48:h 3371:hPa 33ca:ha 195:hv
    ec-ef,129,12b,12d,12f,131,1d0,209,20b,268,1d96,1e2d,1e2f,1ec9:i 1ecb,2139,2148,2170,ff49:i 2171:ii 2172:iii
    133:ij 33cc:in 2173:iv 2178:ix 135,1f0,237,249,25f,29d,2149,ff4a:j
    137,199,1e9,1d84,1e31,1e33,1e35,2c6a,a741,a743,a745,a7a3,ff4b:k 3384:kA 3391:kHz 33aa:kPa 33b8:kV 33be:kW
    3389:kcal 338f:kg 339e:km 33cf:kt 13a,13c,13e,140,142,19a,234,26b-26d,1d85,1e37,1e39,1e3b,1e3d,2113:l
    217c,2c61,a747,a749,a772,ff4c:l 1c9:lj 1efb:ll 33d0:lm 33d1:ln 33d2:log 2aa:ls 33d3:lx 2ab:lz
    271,1d6f,1d86,1e3f,1e41,1e43,217f,a773,ff4d:m 33a7:m/s 3383:mA 33b7:mV 33bd:mW 33d4:mb 338e:mg 33d5:mil 339c:mm
    33d6:mol 33b3:ms f1,144,146,148,14b,19e,1f9,235,272-273,1d70,1d87,1e45,1e47,1e49:n 1e4b,a774,a791,a7a5,ff4e:n
    3381:nA 338b:nF 33b5:nV 33bb:nW 1cc:nj 339a:nm 33b1:ns
    f2-f6,f8,14d,14f,151,1a1,1d2,1eb,1ed,20d,20f,22b,22d,22f:o
    231,1e4d,1e4f,1e51,1e53,1ecd,1ecf,1ed1,1ed3,1ed5,1ed7,1ed9,1edb,1edd:o 1edf,1ee1,1ee3,2134,2c7a,a74b,a74d,ff4f:o
    3375:oV 153:oe 1a3:oi a74f:oo 1a5,1d71,1d7d,1d88,1e55,1e57,a751,a753,a755,ff50:p 33d8:p.m. 3380:pA 338a:pF
    33d7:pH 33b4:pV 33ba:pW 3376:pc 33b0:ps 138,2a0,a757,a759,ff51:q 239:qp
    155,157,159,211,213,24d,27c-27e,1d72-1d73,1d89,1e59,1e5b,1e5d,1e5f,a775:r a7a7,ff52:r 33ad:rad 33ae:rad/s
    15b,15d,15f,161,17f,219,23f,282,1d74,1d8a,1e61,1e63,1e65,1e67:s 1e69,1e9c-1e9d,a7a9,ff53:s 33db:sr df:ss
    fb05-fb06:st 163,165,167,1ab,1ad,21b,236,288,1d75,1e6b,1e6d,1e6f,1e71,1e97:t 2c66,a777,a787,ff54:t
    fe,1d7a,a765,a767:th 2a6:ts f9-fc,169,16b,16d,16f,171,173,1b0,1d4,1d6,1d8,1da,1dc,215:u
    217,289,1d99,1e73,1e75,1e77,1e79,1e7b,1ee5,1ee7,1ee9,1eeb,1eed,1eef:u 1ef1,ff55:u 1d6b:ue
    28b,1d8c,1e7d,1e7f,1efd,2174,2c71,2c74,a75f,ff56:v 2175:vi 2176:vii 2177:viii a761:vy
    175,1e81,1e83,1e85,1e87,1e89,1e98,2c73,ff57:w 1d8d,1e8b,1e8d,210c,2179,ff58:x 217a:xi 217b:xii
    fd,ff,177,1b4,233,24f,1e8f,1e99,1ef3,1ef5,1ef7,1ef9,1eff,ff59:y
    17a,17c,17e,1b6,225,240,290-291,1d76,1d8e,1e91,1e93,1e95,2c6c,ff5a:z fe37,fe5b,ff5b:{ 2223,ff5c:| 2016,2225:||
    fe38,fe5c,ff5d:} 2dc,ff5e:~ 2103:°C 2109:°F 386,1f08-1f0f,1f88-1f8f,1fb8-1fba,1fbc:Α 388,1f18-1f1d,1fc8:Ε
    389,1f28-1f2f,1f98-1f9f,1fca,1fcc:Η 38a,3aa,1f38-1f3f,1fd8-1fda:Ι 38c,1f48-1f4d,1ff8:Ο 1fec:Ρ
    38e,3ab,1f59,1f5b,1f5d,1f5f,1fe8-1fea:Υ 38f,1f68-1f6f,1fa8-1faf,1ffa,1ffc:Ω
    3ac,1f00-1f07,1f70,1f80-1f87,1fb0-1fb4,1fb6-1fb7:α 3ad,1f10-1f15,1f72:ε
    3ae,1f20-1f27,1f74,1f90-1f97,1fc2-1fc4,1fc6-1fc7:η 390,3af,3ca,1f30-1f37,1f76,1fd0-1fd2,1fd6-1fd7:ι
    3cc,1f40-1f45,1f78:ο 1fe4-1fe5:ρ 3b0,3cb,3cd,1f50-1f57,1f7a,1fe0-1fe2,1fe6-1fe7:υ
    3ce,1f60-1f67,1f7c,1fa0-1fa7,1ff2-1ff4,1ff6-1ff7:ω 401:Е 451:е
"""
"""What replaces which code points, in hexadecimal, behind a colon. Nothing removes the character."""


def _table() -> dict[int, str]:
    out = {}
    for rule in _RULES.split():
        points, _, text = rule.partition(":")
        for part in points.split(","):
            first, _, last = part.partition("-")
            out.update(dict.fromkeys(range(int(first, 16), int(last or first, 16) + 1), text))
    return out


_TABLE: Final = _table()


def _unaccent(text: str) -> str:
    return text if text.isascii() else text.translate(_TABLE)


def _by_dictionary(name: str, text: str) -> str:
    """Raises ValueError, as the cast of an unknown dictionary's name does."""
    if name.split(".")[-1] != "unaccent":
        raise ValueError(f'text search dictionary "{name}" does not exist')
    return _unaccent(text)


def install(lib: Library) -> None:
    """Declare them."""
    lib.define("unaccent", "text -> text", _unaccent, stable=True)
    lib.define("unaccent", "text text -> text", _by_dictionary, stable=True)
