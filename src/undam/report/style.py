"""Style sheet for the pages: light, dark and print."""

from __future__ import annotations

from undam.report.markup import Markup

STYLE = Markup("""\
:root{color-scheme:light dark;--bg:#fbfbf9;--panel:#fff;--ink:#1c2126;--soft:#5c6670;
  --rule:#d9dde1;--grid:#e8ebee;--ttft:#1f5fa8;--itl:#0b7a68;--warn:#a85108;--bad:#b3261e;
  --good:#2c7a3f;--idle:#b9c1c9;--band:#e9a35a}
@media(prefers-color-scheme:dark){:root{--bg:#14171a;--panel:#1b1f24;--ink:#e7eaed;
  --soft:#9aa5b0;--rule:#343b43;--grid:#2a3037;--ttft:#7db4f0;--itl:#55cbb4;--warn:#f0a35e;
  --bad:#ff8a80;--good:#7fd494;--idle:#56616c;--band:#b87530}
}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1040px;padding:32px 24px 64px;background:var(--bg);color:var(--ink);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
h1{font-size:24px;line-height:1.25;margin:0 0 4px;font-weight:650;overflow-wrap:anywhere}
h2{font-size:17px;margin:40px 0 10px;font-weight:650}
h3{font-size:14px;margin:0;font-weight:650}
p{margin:4px 0}
.sub,figcaption,.state,dt,th{color:var(--soft)}
.strip{display:grid;grid-template-columns:repeat(auto-fit,minmax(112px,1fr));gap:1px;
  margin:22px 0 0;background:var(--rule);border:1px solid var(--rule);border-radius:8px;
  overflow:hidden}
.strip div{background:var(--panel);padding:11px 13px}
.strip span{display:block;font-size:12px;color:var(--soft)}
.strip b{font-size:20px;font-weight:600;font-variant-numeric:tabular-nums;white-space:nowrap}
.strip b.bad{color:var(--bad)}
.findings{list-style:none;margin:22px 0 0;padding:0;display:grid;gap:8px}
.findings li{background:var(--panel);border:1px solid var(--rule);
  border-left:4px solid var(--soft);border-radius:6px;padding:10px 14px;overflow-wrap:anywhere}
.findings .error{border-left-color:var(--bad)}
.findings .warning{border-left-color:var(--warn)}
.findings .clean{border-left-color:var(--good)}
.validity{font-weight:600;margin-top:14px}
.good{color:var(--good)}
.objectives{list-style:none;margin:14px 0 0;padding:0;display:grid;gap:6px}
.objectives li{display:flex;flex-wrap:wrap;gap:4px 12px;align-items:baseline;padding:8px 14px;
  background:var(--panel);border:1px solid var(--rule);border-left:4px solid var(--good);
  border-radius:6px}
.objectives .missed{border-left-color:var(--bad)}
.objectives b{min-width:54px;color:var(--good)}
.objectives .missed b{color:var(--bad)}
.objectives .slo{font-weight:600;overflow-wrap:anywhere}
.objectives .facts{color:var(--soft);font-variant-numeric:tabular-nums}
.tag{font-size:12px;font-weight:650;margin-right:8px}
.error .tag,.bad{color:var(--bad)}
.warning .tag,.cutword{color:var(--warn)}
.clean .tag{color:var(--good)}
.code{font-size:12px;color:var(--soft);margin-left:8px;white-space:nowrap}
pre,code{font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{margin:8px 0 2px;padding:8px 10px;background:var(--bg);border:1px solid var(--rule);
  border-radius:5px;white-space:pre-wrap;overflow-wrap:anywhere}
figure{margin:0;padding:14px 14px 10px;background:var(--panel);border:1px solid var(--rule);
  border-radius:8px;break-inside:avoid}
figure+figure,.cards+figure{margin-top:12px}
figcaption{font-size:13px;margin-top:6px}
.scroll{overflow-x:auto}
svg{display:block;width:100%;min-width:640px;height:auto}
.spark{min-width:240px;width:240px}
.picture{min-width:0}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;fill:var(--ink)}
svg .tick{fill:var(--soft);font-size:11.5px;font-variant-numeric:tabular-nums}
svg .end{text-anchor:end}
svg .mid{text-anchor:middle}
svg .name{font-size:12.5px;font-weight:600}
svg .note{fill:var(--soft)}
svg .value{font-size:12px;font-weight:600;font-variant-numeric:tabular-nums;paint-order:stroke;
  stroke:var(--panel);stroke-width:4px;stroke-linejoin:round}
svg text.bad{fill:var(--bad);paint-order:stroke;stroke:var(--panel);stroke-width:3px}
.grid{stroke:var(--grid);stroke-width:1}
.curve{fill:none;stroke-width:2;stroke-linejoin:round}
.curve.ttft{stroke:var(--ttft)}
.curve.itl{stroke:var(--itl)}
.curve.offered{stroke:var(--warn);stroke-dasharray:5 3}
.curve.served{stroke:var(--ttft)}
.curve.tokens{stroke:var(--itl)}
.k-p99{background:var(--ttft)}
.k-p50{background:var(--itl)}
.mark.missed{fill:var(--bad)}
.spike{stroke:var(--ttft);stroke-width:1.5}
.one{stroke:var(--soft);stroke-width:1.5}
.interval{stroke:var(--idle);stroke-width:4;stroke-linecap:round}
.interval.slower{stroke:var(--bad)}
.interval.faster{stroke:var(--good)}
.ratio{fill:var(--soft);stroke:var(--panel);stroke-width:1.5}
.ratio.slower{fill:var(--bad)}
.ratio.faster{fill:var(--good)}
.k-offered{background:var(--warn)}
.k-served{background:var(--ttft)}
.limit{stroke:var(--bad);stroke-width:1;stroke-dasharray:6 4}
.curve.bound{stroke-width:1;stroke-dasharray:3 3}
.mark.ttft{fill:var(--ttft)}
.mark.itl{fill:var(--itl)}
.mark{stroke:var(--panel);stroke-width:1.5}
path.band{fill:var(--band);opacity:.35}
.key.band{background:var(--band);opacity:.5}
.dot{fill:var(--ttft);fill-opacity:.5}
.dot.cut{fill:var(--warn);fill-opacity:.9}
.warm{fill:var(--idle)}
.cross{fill:none;stroke:var(--bad);stroke-width:1.8}
.cross.cut{stroke:var(--warn)}
.flight{fill:var(--ttft);fill-opacity:.18;stroke:var(--ttft);stroke-width:1}
.lateness{fill:var(--band)}
.w-send{fill:var(--warn);background:var(--warn)}
.w-head{fill:var(--idle);background:var(--idle)}
.w-first{fill:var(--ttft);background:var(--ttft)}
.w-content{fill:var(--itl);background:var(--itl);opacity:.4}
.w-failed{fill:var(--bad);background:var(--bad);opacity:.35}
.w-stall{fill:var(--bad);fill-opacity:.16;stroke:var(--bad);stroke-width:1.2}
i.w-stall{border:1.5px solid var(--bad)}
.reads{stroke:var(--itl);stroke-width:1;fill:none}
.g-alone{fill:var(--itl);background:var(--itl)}
.g-stall{fill:var(--bad);background:var(--bad)}
.g-together{fill:var(--ttft);background:var(--ttft)}
.g-uncertain{fill:var(--band);background:var(--band)}
.legend{margin-right:16px;white-space:nowrap}
.key{display:inline-block;width:18px;height:10px;margin-left:6px;border-radius:2px}
.legend .key{margin-left:0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(260px,1fr));gap:12px}
.card{background:var(--panel);border:1px solid var(--rule);border-radius:8px;padding:12px 14px}
.state{font-size:13px}
.state.found{color:var(--warn);font-weight:600}
dl{display:grid;grid-template-columns:1fr auto;gap:2px 12px;margin:8px 0 0;font-size:14px}
dd{margin:0;text-align:right;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
dl.conditions{grid-template-columns:minmax(90px,auto) 1fr}
dl.conditions dd{text-align:left}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th:first-child,td.words{text-align:left}
td.words{white-space:normal;overflow-wrap:anywhere;min-width:220px}
tbody th{font-weight:500;color:var(--ink)}
thead th{font-weight:500;font-size:13px}
.wrapped th,.wrapped td{text-align:left;white-space:normal;overflow-wrap:anywhere;
  vertical-align:top}
.wrapped td.words{min-width:0}
details{margin-top:6px;font-size:13px}
summary{cursor:pointer;color:var(--soft)}
.panel{background:var(--panel);border:1px solid var(--rule);border-radius:8px;
  padding:8px 14px 12px}
footer{margin-top:40px;font-size:13px;color:var(--soft)}
@media(max-width:700px){body{padding:18px 12px 40px}
h1{font-size:20px}
figure{padding:12px 12px 8px}
svg{min-width:0;overflow:visible}
svg text,svg .tick,svg .name,svg .value{font-size:25px}
.curve{stroke-width:4}
.legend{white-space:normal}
table{font-size:12px}
th,td{padding:4px 3px}
.panel{padding:6px 8px 8px}
td.words{min-width:120px}
.strip{grid-template-columns:repeat(auto-fit,minmax(96px,1fr))}
.spark{min-width:0}
.targets thead{display:none}
.targets tr{display:block;padding:8px 0;border-bottom:1px solid var(--rule)}
.targets th,.targets td{display:block;border:0;text-align:left;white-space:normal;font-size:14px;
  overflow-wrap:anywhere}
.targets th{font-weight:650}
.targets td::before{content:attr(data-label) ": ";color:var(--soft)}
}
@media print{:root{--bg:#fff;--panel:#fff}
body{max-width:none;padding:0;font-size:12px}
summary{display:none}
h2{break-after:avoid}
svg{min-width:0}
.card,.findings li{break-inside:avoid}
*{print-color-adjust:exact}
}
""")
