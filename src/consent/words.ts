import type { Language } from '../groups/language.ts';

/** What the pages say; `%s` is the name of the group, `%e` the address. */
export interface Words {
  readonly unsubscribe: string;
  readonly ask: string;
  readonly left: string;
  readonly leftDetail: string;
  readonly preferences: string;
  readonly preferencesOf: string;
  readonly preferencesHelp: string;
  readonly save: string;
  readonly saved: string;
  readonly all: string;
  readonly allDetail: string;
  readonly allDone: string;
  readonly nothing: string;
  readonly suppressed: string;
  readonly wait: string;
  readonly confirm: string;
  readonly confirmAsk: string;
  readonly confirmed: string;
  readonly confirmedDetail: string;
  readonly gone: string;
  readonly goneDetail: string;
  readonly unclear: string;
}

export const WORDS: Readonly<Record<Language, Words>> = {
  en: {
    unsubscribe: 'Unsubscribe',
    ask: 'Do you no longer want mail of “%s” at %e?',
    left: 'You are unsubscribed',
    leftDetail: '%e gets no more mail of “%s”. A mail that is already on its way may still arrive.',
    preferences: 'Your preferences',
    preferencesOf: 'What %e gets:',
    preferencesHelp: 'Take away the tick from what you no longer want.',
    save: 'Save',
    saved: 'Your preferences are saved.',
    all: 'Unsubscribe from everything',
    allDetail: 'Nothing at all is sent to this address any more.',
    allDone: 'Nothing is sent to %e any more.',
    nothing: '%e is in none of our lists.',
    suppressed: 'Nothing is sent to this address, because it asked for that or because mail to it came back.',
    wait: 'not confirmed yet',
    confirm: 'Confirm',
    confirmAsk: 'Do you want mail of “%s” at %e?',
    confirmed: 'Thank you',
    confirmedDetail: '%e is subscribed to “%s”.',
    gone: 'This link does not work',
    goneDetail: 'It may be incomplete. Please open it from the mail again.',
    unclear: 'Nothing was changed. Please press the button.',
  },
  de: {
    unsubscribe: 'Abbestellen',
    ask: 'Möchten Sie an %e keine E-Mails von „%s“ mehr bekommen?',
    left: 'Sie sind abgemeldet',
    leftDetail: '%e bekommt keine E-Mails von „%s“ mehr. Was schon unterwegs ist, kann noch ankommen.',
    preferences: 'Ihre Einstellungen',
    preferencesOf: 'Was %e bekommt:',
    preferencesHelp: 'Entfernen Sie das Häkchen bei allem, was Sie nicht mehr möchten.',
    save: 'Speichern',
    saved: 'Ihre Einstellungen sind gespeichert.',
    all: 'Alles abbestellen',
    allDetail: 'An diese Adresse wird überhaupt nichts mehr gesendet.',
    allDone: 'An %e wird nichts mehr gesendet.',
    nothing: '%e steht auf keiner unserer Listen.',
    suppressed:
      'An diese Adresse wird nichts gesendet, weil das so gewünscht wurde oder weil E-Mails an sie zurückkamen.',
    wait: 'noch nicht bestätigt',
    confirm: 'Bestätigen',
    confirmAsk: 'Möchten Sie an %e E-Mails von „%s“ bekommen?',
    confirmed: 'Vielen Dank',
    confirmedDetail: '%e bekommt nun die E-Mails von „%s“.',
    gone: 'Dieser Link funktioniert nicht',
    goneDetail: 'Vielleicht ist er unvollständig. Bitte öffnen Sie ihn noch einmal aus der E-Mail.',
    unclear: 'Es wurde nichts geändert. Bitte benutzen Sie die Schaltfläche.',
  },
  fr: {
    unsubscribe: 'Se désabonner',
    ask: 'Ne souhaitez-vous plus recevoir les messages de « %s » à %e ?',
    left: 'Vous êtes désabonné(e)',
    leftDetail: '%e ne reçoit plus les messages de « %s ». Un message déjà en route peut encore arriver.',
    preferences: 'Vos préférences',
    preferencesOf: 'Ce que reçoit %e :',
    preferencesHelp: 'Décochez ce que vous ne souhaitez plus recevoir.',
    save: 'Enregistrer',
    saved: 'Vos préférences sont enregistrées.',
    all: 'Se désabonner de tout',
    allDetail: 'Plus rien ne sera envoyé à cette adresse.',
    allDone: 'Plus rien n’est envoyé à %e.',
    nothing: '%e n’est inscrite à aucune de nos listes.',
    suppressed:
      'Rien n’est envoyé à cette adresse, parce que cela a été demandé ou que des messages sont revenus.',
    wait: 'pas encore confirmé',
    confirm: 'Confirmer',
    confirmAsk: 'Souhaitez-vous recevoir les messages de « %s » à %e ?',
    confirmed: 'Merci',
    confirmedDetail: '%e reçoit désormais les messages de « %s ».',
    gone: 'Ce lien ne fonctionne pas',
    goneDetail: 'Il est peut-être incomplet. Veuillez l’ouvrir à nouveau depuis le message.',
    unclear: 'Rien n’a été modifié. Veuillez utiliser le bouton.',
  },
  es: {
    unsubscribe: 'Darse de baja',
    ask: '¿Ya no desea recibir mensajes de «%s» en %e?',
    left: 'Se ha dado de baja',
    leftDetail: '%e ya no recibe mensajes de «%s». Un mensaje que ya esté en camino aún puede llegar.',
    preferences: 'Sus preferencias',
    preferencesOf: 'Lo que recibe %e:',
    preferencesHelp: 'Desmarque lo que ya no desee recibir.',
    save: 'Guardar',
    saved: 'Sus preferencias se han guardado.',
    all: 'Darse de baja de todo',
    allDetail: 'Ya no se enviará nada a esta dirección.',
    allDone: 'Ya no se envía nada a %e.',
    nothing: '%e no está en ninguna de nuestras listas.',
    suppressed:
      'No se envía nada a esta dirección, porque así se pidió o porque los mensajes fueron devueltos.',
    wait: 'aún sin confirmar',
    confirm: 'Confirmar',
    confirmAsk: '¿Desea recibir mensajes de «%s» en %e?',
    confirmed: 'Gracias',
    confirmedDetail: '%e recibe ahora los mensajes de «%s».',
    gone: 'Este enlace no funciona',
    goneDetail: 'Puede que esté incompleto. Ábralo de nuevo desde el mensaje.',
    unclear: 'No se ha cambiado nada. Utilice el botón.',
  },
};

/** The sentence with the names put in. */
export function say(sentence: string, names: { readonly list?: string; readonly email?: string }): string {
  return sentence.replace('%s', () => names.list ?? '').replace('%e', () => names.email ?? '');
}
