"""The ICU collations that a PostgreSQL 15 with ICU 72 makes when its database cluster is made."""

from __future__ import annotations

from typing import Final

_LISTED: Final = """
    und af:NA,ZA agq:CM ak:GH am:ET
    ar:001,AE,BH,DJ,DZ,EG,EH,ER,IL,IQ,JO,KM,KW,LB,LY,MA,MR,OM,PS,QA,SA,SD,SO,SS,SY,TD,TN,YE as:IN asa:TZ ast:ES
    az:Cyrl,Cyrl-AZ,Latn,Latn-AZ bas:CM be:BY bem:ZM bez:TZ bg:BG bgc:IN bho:IN bm:ML bn:BD,IN bo:CN,IN br:FR brx:IN
    bs:Cyrl,Cyrl-BA,Latn,Latn-BA ca:AD,ES,FR,IT ccp:BD,IN ce:RU ceb:PH cgg:UG chr:US ckb:IQ,IR cs:CZ cv:RU cy:GB
    da:DK,GL dav:KE de:AT,BE,CH,DE,IT,LI,LU dje:NE doi:IN dsb:DE dua:CM dyo:SN dz:BT ebu:KE ee:GH,TG el:CY,GR
    en:001,150,AE,AG,AI,AS,AT,AU,BB,BE,BI,BM,BS,BW,BZ,CA,CC,CH,CK,CM,CX,CY,DE,DG,DK,DM,ER,FI,FJ,FK
    :FM,GB,GD,GG,GH,GI,GM,GU,GY,HK,IE,IL,IM,IN,IO,JE,JM,KE,KI,KN,KY,LC,LR,LS,MG,MH,MO,MP,MS,MT
    :MU,MV,MW,MY,NA,NF,NG,NL,NR,NU,NZ,PG,PH,PK,PN,PR,PW,RW,SB,SC,SD,SE,SG,SH,SI,SL,SS,SX,SZ,TC
    :TK,TO,TT,TV,TZ,UG,UM,US,US-u-va-posix,VC,VG,VI,VU,WS,ZA,ZM,ZW eo:001
    es:419,AR,BO,BR,BZ,CL,CO,CR,CU,DO,EA,EC,ES,GQ,GT,HN,IC,MX,NI,PA,PE,PH,PR,PY,SV,US,UY,VE et:EE eu:ES ewo:CM
    fa:AF,IR
    ff:Adlm,Adlm-BF,Adlm-CM,Adlm-GH,Adlm-GM,Adlm-GN,Adlm-GW,Adlm-LR,Adlm-MR,Adlm-NE,Adlm-NG,Adlm-SL,Adlm-SN,Latn,Latn-BF,Latn-CM,Latn-GH,Latn-GM,Latn-GN,Latn-GW,Latn-LR,Latn-MR,Latn-NE,Latn-NG,Latn-SL,Latn-SN
    fi:FI fil:PH fo:DK,FO fr:BE,BF,BI,BJ,BL,CA,CD,CF,CG,CH,CI,CM,DJ,DZ,FR,GA,GF,GN,GP,GQ,HT,KM,LU,MA,MC,MF,MG,ML,MQ,MR
    :MU,NC,NE,PF,PM,RE,RW,SC,SN,SY,TD,TG,TN,VU,WF,YT fur:IT fy:NL ga:GB,IE gd:GB gl:ES gsw:CH,FR,LI gu:IN guz:KE gv:IM
    ha:GH,NE,NG haw:US he:IL hi:IN,Latn,Latn-IN hr:BA,HR hsb:DE hu:HU hy:AM ia:001 id:ID ig:NG ii:CN is:IS
    it:CH,IT,SM,VA ja:JP jgo:CM jmc:TZ jv:ID ka:GE kab:DZ kam:KE kde:TZ kea:CV kgp:BR khq:ML ki:KE kk:KZ kkj:CM kl:GL
    kln:KE km:KH kn:IN ko:KP,KR kok:IN ks:Arab,Arab-IN,Deva,Deva-IN ksb:TZ ksf:CM ksh:DE ku:TR kw:GB ky:KG lag:TZ
    lb:LU lg:UG lkt:US ln:AO,CD,CF,CG lo:LA lrc:IQ,IR lt:LT lu:CD luo:KE luy:KE lv:LV mai:IN mas:KE,TZ mer:KE mfe:MU
    mg:MG mgh:MZ mgo:CM mi:NZ mk:MK ml:IN mn:MN mni:Beng,Beng-IN mr:IN ms:BN,ID,MY,SG mt:MT mua:CM my:MM mzn:IR naq:NA
    nb:NO,SJ nd:ZW ne:IN,NP nl:AW,BE,BQ,CW,NL,SR,SX nmg:CM nn:NO nnh:CM no nus:SS nyn:UG om:ET,KE or:IN os:GE,RU
    pa:Arab,Arab-PK,Guru,Guru-IN pcm:NG pl:PL ps:AF,PK pt:AO,BR,CH,CV,GQ,GW,LU,MO,MZ,PT,ST,TL qu:BO,EC,PE raj:IN rm:CH
    rn:BI ro:MD,RO rof:TZ ru:BY,KG,KZ,MD,RU,UA rw:RW rwk:TZ sa:IN sah:RU saq:KE sat:Olck,Olck-IN sbp:TZ sc:IT
    sd:Arab,Arab-PK,Deva,Deva-IN se:FI,NO,SE seh:MZ ses:ML sg:CF shi:Latn,Latn-MA,Tfng,Tfng-MA si:LK sk:SK sl:SI
    smn:FI sn:ZW so:DJ,ET,KE,SO sq:AL,MK,XK
    sr:Cyrl,Cyrl-BA,Cyrl-ME,Cyrl-RS,Cyrl-XK,Latn,Latn-BA,Latn-ME,Latn-RS,Latn-XK su:Latn,Latn-ID sv:AX,FI,SE
    sw:CD,KE,TZ,UG ta:IN,LK,MY,SG te:IN teo:KE,UG tg:TJ th:TH ti:ER,ET tk:TM to:TO tr:CY,TR tt:RU twq:NE tzm:MA ug:CN
    uk:UA ur:IN,PK uz:Arab,Arab-AF,Cyrl,Cyrl-UZ,Latn,Latn-UZ vai:Latn,Latn-LR,Vaii,Vaii-LR vi:VN vun:TZ wae:CH wo:SN
    xh:ZA xog:UG yav:CM yi:001 yo:BJ,NG yrl:BR,CO,VE yue:Hans,Hans-CN,Hant,Hant-HK zgh:MA
    zh:Hans,Hans-CN,Hans-HK,Hans-MO,Hans-SG,Hant,Hant-HK,Hant-MO,Hant-TW zu:ZA
"""
"""Locales in the order of pg_collation: each language with what may follow it behind a hyphen; without a language, the
rest of the one before.
"""


def _locales() -> list[str]:
    out: list[str] = []
    language = ""
    for entry in _LISTED.split():
        named, _, tails = entry.partition(":")
        if named:
            language = named
            out.append(language)
        out += [f"{language}-{tail}" for tail in tails.split(",") if tail]
    return out


ICU_LOCALES: Final = tuple(_locales())
"""BCP 47 tags; the collation of each is called ``<tag>-x-icu``."""
